// service::Store in one SQLite file: the default, for a publisher on one machine.
//
// Writes. One thread takes every unit of work that waits, runs each in a savepoint of its own inside one
// transaction, commits (fsync), and then calls their `done`s: group commit. A unit that throws is rolled back
// alone. When SQLite gives up the whole transaction, every unit of the group fails with it.
//
// Several processes may have the file open (serve, a mailer, the command line). Every write transaction and
// every checkpoint of each runs under an exclusive flock on "FILE.lock"; who waits stands in line on
// "FILE.turn", so that a busy process lets the others in. A group holds the lock for about 50 ms at most.
//
// Trouble. A full disk fails the group (Commit::disk_full) and the store goes on. After a failed fsync, or
// any other error of writing or reading the file, nothing is acknowledged any more: all that waits gets
// Commit::broken, then `on_broken` is called, and the process has to end. SQLite asks the file system again
// only in a new process.
//
// The first unit of work of a process is preceded by a checkpoint; a process that only reads does not write
// at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "service/store.h"
#include "storage/sqlite/schema.h"

namespace zgoda::storage {

struct SqliteOptions {
    std::filesystem::path file;
    std::filesystem::path
        withdrawals_journal;   // appended to by journal_withdrawal; "": such lines are dropped
    bool create = false;       // make the folder (0700), the file (0600) and the schema if missing
    std::size_t queue = 4096;  // units that may wait, and queries; more are answered with busy
    int readers = 2;           // reading threads, each with a connection of its own
    service::DurationMs stale_after = 2000;  // a unit that waited for longer is dropped before it runs
    int checkpoint_pages = 30000;            // length of the WAL, in pages, that calls for a checkpoint

    // Both are called on the writer's thread with one sentence that holds nothing personal.
    std::function<void(std::string_view)> on_broken;  // the process must end within a second (exit status 70)
    std::function<void(std::string_view)> on_trouble;  // disk full and the like: for the log

    // For tests.
    std::string vfs;                      // name of the sqlite3_vfs; "": the default one
    const SchemaFiles* schema = nullptr;  // nullptr: schema_files()
};

// Why a database can't be used. `sentence` says what is so, with the file's name; what to do is the caller's
// to add, because it depends on the verb.
struct OpenProblem {
    enum class Kind {
        missing,             // there is no database, and create is off
        wrong_owner,         // the file belongs to `owner`, another user than the one who runs this
        old_schema,          // `zgoda migrate` is needed
        new_schema,          // made by a newer program
        in_use,              // a restore is putting another in its place; for a restore: somebody has it open
        not_a_database,      // or the database of another program
        network_filesystem,  // NFS and SMB lose locks
        unsupported,         // this SQLite or file system can't do what is needed (WAL, threads)
        failed,              // the system said no: permissions, I/O error
    } kind = Kind::failed;
    std::string sentence;
    std::string owner;  // wrong_owner: the user's name, or number if it has none
};

// Numbers for monitoring, all since the start of the process unless they are a state.
struct StoreStats {
    std::uint64_t queue_depth = 0;  // now
    std::uint64_t groups = 0;       // transactions committed
    std::uint64_t units = 0;        // units in them
    std::uint64_t busy = 0;
    std::uint64_t too_late = 0;
    std::uint64_t disk_full = 0;
    std::uint64_t failed = 0;
    std::uint64_t wal_pages = 0;  // now
    std::uint64_t checkpoints = 0;
    std::uint64_t commit_microseconds = 0;  // spent in COMMIT, sum
    service::DurationMs last_commit_ms = 0;
    bool broken = false;
};

// Destroying it runs what waits, answers it, and joins all threads.
class SqliteStore : public service::Store {
 public:
    virtual StoreStats stats() const = 0;  // from any thread
};

std::variant<std::unique_ptr<SqliteStore>, OpenProblem> open_sqlite(const SqliteOptions&);

std::string sqlite_version();  // of the library at work: "3.40.1"

struct MigrationReport {
    int from = 0;  // 0: there was nothing
    int to = 0;
    std::optional<std::filesystem::path> backup;  // made before anything was changed
};

// Brings the schema to this program's version, each file in a transaction of its own, after a copy of the
// database was made beside it (0600, on disk before the first change). With check_only nothing is touched:
// the report tells what would be done. Not an error if there is nothing to do: from equals to. `create` also
// makes a missing database.
std::variant<MigrationReport, OpenProblem> migrate(const SqliteOptions&, bool check_only);

}  // namespace zgoda::storage
