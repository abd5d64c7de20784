#include "storage/sqlite/backup.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "storage/sqlite/connection.h"
#include "storage/sqlite/lock_file.h"
#include "storage/sqlite/migrations.h"

namespace zgoda::storage {

namespace fs = std::filesystem;
using Kind = OpenProblem::Kind;
using service::StorageError;

namespace {

OpenProblem problem(Kind kind, const fs::path& file, const std::string& what) {
    return {kind, file.string() + " " + what, {}};
}

[[noreturn]] void fail(const std::string& doing, const fs::path& path) {
    throw StorageError("can't " + doing + " " + path.string() + ": " + std::strerror(errno));
}

fs::path folder_of(const fs::path& file) {
    return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

void sync(const fs::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
    if (fd < 0) fail("open", path);
    const bool synced = ::fsync(fd) == 0;
    const int error = errno;
    ::close(fd);
    errno = error;
    if (!synced) fail("sync", path);
}

fs::path beside(const fs::path& file, const char* ending) {
    return file.string() + ending;
}

// A file (0600) that is gone at the end, unless it was given its name. Locked (flock) while it is at work, so
// that the next one can take away what one that was killed has left: a copy of people who may be erased
// since.
class Unfinished {
 public:
    explicit Unfinished(const fs::path& wanted) : wanted_(wanted) {
        take_away_others();
        std::string name = folder_of(wanted) / (std::string(prefix) + "XXXXXX");
        fd_ = ::mkostemp(name.data(), O_CLOEXEC);
        if (fd_ < 0) fail("make a file in", folder_of(wanted));
        ::flock(fd_, LOCK_EX);
        path_ = name;
    }
    ~Unfinished() {
        for (const char* ending : {"", "-wal", "-shm", "-journal"}) ::unlink(beside(path_, ending).c_str());
        ::close(fd_);
    }
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;

    const fs::path& path() const { return path_; }

    // False: the name is taken, and may not be replaced.
    bool finish(bool replace) {
        sync(path_, O_RDONLY);
        if (replace) {
            if (std::rename(path_.c_str(), wanted_.c_str()) != 0) fail("make", wanted_);
        } else if (::link(path_.c_str(), wanted_.c_str()) != 0) {
            if (errno == EEXIST) return false;
            fail("make", wanted_);
        }
        sync(folder_of(wanted_), O_RDONLY | O_DIRECTORY);
        return true;
    }

 private:
    static constexpr std::string_view prefix = ".zgoda-backup-";

    void take_away_others() const {
        std::error_code error;
        for (const auto& one : fs::directory_iterator(folder_of(wanted_), error)) {
            if (!one.path().filename().string().starts_with(prefix)) continue;
            const int fd = ::open(one.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (fd < 0) continue;
            if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(one.path().c_str());
            ::close(fd);
        }
    }

    fs::path wanted_, path_;
    int fd_ = -1;
};

std::int64_t count(Connection& db, const char* table) {
    return std::stoll(db.ask(std::string("SELECT count(*) FROM ") + table));
}

Contents contents_of(Connection& db) {
    Contents c;
    c.version = schema_version(db).value_or(0);
    c.people = count(db, "person");
    c.subscriptions = count(db, "subscription");
    c.letters = count(db, "letter");
    c.events = count(db, "ledger");
    auto row = db.query("SELECT seq, hash, key_id, seal FROM ledger_head");
    if (row.step()) c.head = {row.integer(0), row.bytes<32>(1), row.small(2), row.bytes<32>(3)};
    return c;
}

bool same(const Contents& a, const Contents& b) {
    return a.version == b.version && a.people == b.people && a.subscriptions == b.subscriptions &&
           a.letters == b.letters && a.events == b.events && a.head.seq == b.head.seq &&
           a.head.hash == b.head.hash;
}

// The bytes of the snapshot that `source` has open, into a file.
void copy_pages(Connection& source, const fs::path& to, const std::function<void(int, int)>& progress) {
    constexpr int pages = 500;  // a step: about 2 MB
    sqlite3* copy = nullptr;
    int code = sqlite3_open_v2(to.c_str(), &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    // Nobody looks at it before it is finished and synced.
    if (code == SQLITE_OK)
        sqlite3_exec(copy, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) {
        sqlite3_backup* backup = sqlite3_backup_init(copy, "main", source.handle(), "main");
        while (backup != nullptr && sqlite3_backup_step(backup, pages) == SQLITE_OK) {
            const int total = sqlite3_backup_pagecount(backup);
            if (progress) progress(total - sqlite3_backup_remaining(backup), total);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the disk is others' too
        }
        code = backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_errcode(copy);
    }
    const std::string what = copy != nullptr ? sqlite3_errmsg(copy) : sqlite3_errstr(code);
    sqlite3_close_v2(copy);
    if (code != SQLITE_OK) throw StorageError("can't write " + to.string() + ": " + what);
}

std::variant<Contents, OpenProblem> inspect_at(const fs::path& file, const fs::path& name,
                                               const SqliteOptions& options) {
    try {
        Connection db(file, options.vfs, Connection::Mode::immutable, 0, 16 * 1024);
        const auto version = schema_version(db);
        if (!version) return problem(Kind::not_a_database, name, "is the database of another program");
        if (*version == 0) return problem(Kind::not_a_database, name, "is empty");
        const int newest = newest_version(schema_of(options));
        if (*version > newest) {
            return problem(Kind::new_schema, name,
                           "has schema version " + std::to_string(*version) +
                               ", made by a newer program; this one knows " + std::to_string(newest));
        }
        if (const std::string verdict = db.ask("PRAGMA integrity_check(1)"); verdict != "ok")
            return problem(Kind::failed, name, "is damaged: " + verdict);
        Contents found = contents_of(db);
        if (found.events != found.head.seq)
            return problem(Kind::failed, name, "is damaged: its ledger does not end where its head says");
        std::error_code unknown;
        found.bytes = fs::file_size(file, unknown);
        return found;
    } catch (const SqliteError& e) {
        if ((e.code() & 0xff) == SQLITE_NOTADB)
            return problem(Kind::not_a_database, name, "is no SQLite file");
        return problem(Kind::failed, name, std::string("can't be read: ") + e.what());
    } catch (const StorageError& e) {
        return problem(Kind::failed, name, std::string("can't be read: ") + e.what());
    }
}

void copy_whole(const fs::path& from, const fs::path& to) {
    std::error_code error;
    fs::copy_file(from, to, error);
    if (error) throw StorageError("can't copy " + from.string() + ": " + error.message());
    fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, error);
    if (error) throw StorageError("can't protect " + to.string() + ": " + error.message());
}

// The last id that this database may have given out; 0 if it can't say.
std::int64_t last_id(const SqliteOptions& options) {
    try {
        Connection db(options.file, options.vfs, Connection::Mode::write, 1000, 1024);
        return std::stoll(db.ask("SELECT last_id FROM sequence"));
    } catch (const std::exception&) {
        return 0;  // it may be the very reason for the restore
    }
}

fs::path free_name(const fs::path& wanted) {
    fs::path name = wanted;
    for (int n = 2; fs::exists(name) || fs::exists(beside(name, "-wal")); ++n)
        name = wanted.string() + "." + std::to_string(n);
    return name;
}

struct OwnFolder {
    fs::path path;
    ~OwnFolder() {
        std::error_code ignored;
        if (!path.empty()) fs::remove_all(path, ignored);
    }
};

class InPlace final : public Restore {
 public:
    InPlace(const SqliteOptions& live, std::unique_ptr<LockFile> alone, const fs::path& backup)
        : live_(live), alone_(std::move(alone)), copy_(live) {
        if (alone_) clean_up();
        std::string name = live.file.string() + (alone_ ? ".restore-XXXXXX" : ".rehearsal-XXXXXX");
        if (::mkdtemp(name.data()) == nullptr) fail("make a folder beside", live.file);
        folder_.path = name;
        copy_.file = folder_.path / live.file.filename();
        copy_.withdrawals_journal.clear();  // what is replayed stands there already
        copy_.create = false;
        copy_whole(backup, copy_.file);
        const std::int64_t behind = fs::exists(live.file) ? last_id(live) : 0;

        Connection db(copy_.file, copy_.vfs, Connection::Mode::write, 1000, 16 * 1024);
        if (db.ask("PRAGMA journal_mode = WAL") != "wal")
            throw StorageError(copy_.file.string() + " can't be put into WAL mode on this file system");
        WriteLock lock(copy_.file);
        upgrade(db, lock, schema_of(live), schema_version(db).value_or(0));
        db.execute("UPDATE sequence SET last_id = max(last_id, " + std::to_string(behind) +
                   ") + 1000000000, newsletters = newsletters + 1");
    }
    const SqliteOptions& copy() const override { return copy_; }

    std::variant<std::optional<fs::path>, OpenProblem> put_in_place() override {
        {
            Connection db(copy_.file, copy_.vfs, Connection::Mode::write, 1000, 1024);
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)");
            if (fs::exists(beside(copy_.file, "-wal")) && fs::file_size(beside(copy_.file, "-wal")) > 0)
                throw StorageError(copy_.file.string() + " is still open somewhere");
        }
        sync(copy_.file, O_RDONLY);
        std::optional<fs::path> kept;
        if (fs::exists(live_.file)) {
            empty_wal();
            kept = free_name(live_.file.string() + ".before-restore");
            // Under both names until the new one takes the place: no moment is without a database.
            if (::link(live_.file.c_str(), kept->c_str()) != 0) fail("keep", live_.file);
            const fs::path wal = beside(live_.file, "-wal");
            if (fs::exists(wal) && fs::file_size(wal) > 0 &&
                std::rename(wal.c_str(), beside(*kept, "-wal").c_str()) != 0) {
                fail("keep", wal);
            }
            ::unlink(wal.c_str());  // of the old one: beside the new one it would be poison
            ::unlink(beside(live_.file, "-shm").c_str());
            sync(folder_of(live_.file), O_RDONLY | O_DIRECTORY);
        }
        if (std::rename(copy_.file.c_str(), live_.file.c_str()) != 0) fail("make", live_.file);
        sync(folder_of(live_.file), O_RDONLY | O_DIRECTORY);
        return kept;
    }

 private:
    // So that the old database is one whole file. If it is broken, it is kept with its WAL as it is.
    void empty_wal() {
        try {
            WriteLock lock(live_.file);
            wait_for(lock);
            Connection db(live_.file, live_.vfs, Connection::Mode::write, 1000, 1024);
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)");
        } catch (const StorageError&) {
        }
    }

    // What a restore that was killed has left behind.
    void clean_up() {
        const std::string prefix = live_.file.filename().string() + ".restore-";
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(folder_of(live_.file), ignored)) {
            if (entry.path().filename().string().starts_with(prefix)) fs::remove_all(entry.path(), ignored);
        }
    }

    const SqliteOptions live_;
    const std::unique_ptr<LockFile> alone_;
    OwnFolder folder_;
    SqliteOptions copy_;
};

}  // namespace

std::variant<Contents, OpenProblem> inspect(const fs::path& file, const SqliteOptions& options) {
    struct stat found;
    if (::stat(file.c_str(), &found) != 0)
        return problem(Kind::missing, file, std::string("can't be read: ") + std::strerror(errno));
    if (!S_ISREG(found.st_mode)) return problem(Kind::not_a_database, file, "is not a file");
    if (fs::exists(beside(file, "-wal")) && fs::file_size(beside(file, "-wal")) > 0) {
        return problem(Kind::in_use, file,
                       "has a WAL beside it, so it is a database at work or a copy made by hand; a backup is "
                       "what `zgoda backup` makes");
    }
    return inspect_at(file, file, options);
}

std::variant<Contents, OpenProblem> back_up(const SqliteOptions& options, const fs::path& to, bool replace,
                                            const std::function<void(int, int)>& progress) {
    std::error_code error;
    if (fs::equivalent(to, options.file, error)) return problem(Kind::failed, to, "is the database itself");
    if (!replace && fs::exists(to, error)) return problem(Kind::failed, to, "is there already");
    try {
        Unfinished file(to);
        Contents before;
        {
            Connection source(options.file, options.vfs, Connection::Mode::read, 5000, 16 * 1024);
            // The snapshot that this opens is what is copied, however much is written meanwhile.
            source.execute("BEGIN");
            before = contents_of(source);
            copy_pages(source, file.path(), progress);
            source.execute("COMMIT");
        }
        auto checked = inspect_at(file.path(), to, options);
        if (const auto* contents = std::get_if<Contents>(&checked); contents && !same(*contents, before))
            return problem(Kind::failed, to, "does not hold what the database holds; it was not kept");
        if (std::holds_alternative<Contents>(checked) && !file.finish(replace))
            return problem(Kind::failed, to, "is there already");
        return checked;
    } catch (const StorageError& e) {
        return OpenProblem{Kind::failed, e.what(), {}};
    }
}

std::variant<std::unique_ptr<Restore>, OpenProblem> begin_restore(const SqliteOptions& given,
                                                                  const fs::path& backup, bool rehearsal) {
    SqliteOptions options = given;
    options.file = fs::absolute(given.file).lexically_normal();
    options.create = false;
    if (const auto found = find_file(options); found && found->kind != Kind::missing) return *found;
    std::error_code missing;
    if (fs::equivalent(backup, options.file, missing))
        return problem(Kind::in_use, backup, "is the database itself");
    try {
        const fs::path folder = folder_of(options.file);
        if (!fs::exists(folder)) {
            fs::create_directories(folder);
            fs::permissions(folder, fs::perms::owner_all);
        }
        std::unique_ptr<LockFile> alone;
        if (!rehearsal) alone = std::make_unique<LockFile>(users_file(options.file));
        if (alone && !alone->try_lock()) {
            return problem(Kind::in_use, options.file,
                           "is in use: a service, a mailer or another verb has it open");
        }
        return std::make_unique<InPlace>(options, std::move(alone), backup);
    } catch (const StorageError& e) {
        return OpenProblem{Kind::failed, e.what(), {}};
    } catch (const fs::filesystem_error& e) {
        return OpenProblem{Kind::failed, e.what(), {}};
    }
}

}  // namespace zgoda::storage
