#include "storage/sqlite/wal_vfs.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "storage/sqlite/connection.h"
#include "tests/storage/faulty_vfs.h"
#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::tests;
using storage::Connection;

namespace {

// A database whose WAL is written through ours over one that counts and fails.
struct Database {
    TempFolder folder;
    std::filesystem::path file = folder.path() / "x.db";
    FaultyVfs under{"zgoda-under-wal"};
    storage::WalVfs vfs{under.name()};
    std::optional<Connection> db;

    explicit Database(int cache_kib) {
        sqlite3* made = nullptr;
        sqlite3_open(file.c_str(), &made);
        sqlite3_exec(made, "PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)",
                     nullptr, nullptr, nullptr);
        sqlite3_close(made);
        db.emplace(file, vfs.name(), Connection::Mode::write, 0, cache_kib);
    }
    void fill(int rows) {
        for (int i = 0; i < rows; ++i) db->run("INSERT INTO t (b) VALUES (randomblob(3000))");
    }
    // By another connection, which sees only what is in the file.
    std::string seen() {
        Connection other(file, "", Connection::Mode::read, 0, 1000);
        return other.ask("SELECT count(*) FROM t") + " " + other.ask("PRAGMA integrity_check");
    }
};

}  // namespace

TEST_CASE("what a commit appends to the WAL is written in few pieces, and before the sync") {
    Database one(8000);
    one.fill(1);  // writes and syncs the WAL's header
    one.db->run("BEGIN");
    one.fill(100);
    std::vector<std::string> order;
    one.under.on_write = [&](const std::string& name) { order.push_back(name.substr(name.size() - 4)); };
    one.under.disarm();  // counts anew
    one.db->run("COMMIT");
    one.under.on_write = nullptr;
    CHECK(order == std::vector<std::string>(4, "-wal"));  // of 120 KiB; it would be 200 calls and more
    CHECK(one.under.syncs() == 1);
    CHECK(one.seen() == "101 ok");
}

TEST_CASE("pages that leave the cache before the commit are read back as they were written") {
    Database one(40);  // ten pages
    one.db->run("BEGIN");
    one.fill(300);
    CHECK(one.db->ask("SELECT count(*) FROM t WHERE length(b) = 3000") == "300");
    one.db->run("UPDATE t SET b = zeroblob(2000) WHERE n % 3 = 0");
    CHECK(one.db->ask("SELECT sum(length(b)) FROM t") == "800000");
    CHECK(one.seen() == "0 ok");
    one.db->run("COMMIT");
    CHECK(one.seen() == "300 ok");
    CHECK(one.db->ask("PRAGMA wal_checkpoint(TRUNCATE)") == "0");
    CHECK(std::filesystem::file_size(one.file.string() + "-wal") == 0);
    CHECK(one.seen() == "300 ok");
}

TEST_CASE("a commit fails with the write that fails, and what was rolled back is never written") {
    Database one(8000);
    one.db->run("BEGIN");
    one.fill(5);
    one.under.arm({FaultyVfs::Kind::write, 1, true, SQLITE_FULL, 0});
    CHECK_THROWS_AS(one.db->run("COMMIT"), storage::SqliteError);
    CHECK(one.under.syncs() == 0);
    if (one.db->in_transaction()) one.db->run("ROLLBACK");
    one.vfs.rolled_back();
    const auto before = std::filesystem::file_size(one.file.string() + "-wal");
    one.db.reset();
    CHECK(one.under.writes() == 1);
    CHECK(std::filesystem::file_size(one.file.string() + "-wal") == before);
    one.under.disarm();
    CHECK(one.seen() == "0 ok");
}
