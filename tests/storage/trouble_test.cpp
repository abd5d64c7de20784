// Disks that fill up and disks that fail: what is acknowledged is kept, and what can't be trusted is not
// used.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <set>
#include <thread>

#include "storage/sqlite/lock_file.h"
#include "tests/storage/faulty_vfs.h"
#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

using Kind = FaultyVfs::Kind;

struct Box {
    TempFolder folder;
    FaultyVfs vfs{"zgoda-faulty"};
    storage::SqliteOptions options = options_in(folder);
    std::atomic<int> broken = 0;
    std::unique_ptr<storage::SqliteStore> store;
    Id newsletter = 0;

    Box() {
        options.vfs = vfs.name();
        options.on_broken = [this](std::string_view what) {
            CHECK_FALSE(what.empty());
            ++broken;
        };
    }
    void open() {
        store = must_open(options);
        newsletter = make_newsletter(*store, "morning");
    }
    Store::Work signup(const std::string& address) {
        return [this, address](Transaction& t) {
            sign_up(t, address, newsletter);
            t.journal_withdrawal(address);
        };
    }
    Commit sign(const std::string& address) { return submit(*store, signup(address)).get().commit; }
    bool has(const std::string& address) {
        return ask(*store, [&](Reader& r) { return r.person_by_key(address).has_value(); });
    }
    std::string journal() const {
        std::ifstream file(options.withdrawals_journal);
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

std::string integrity(const fs::path& file) {
    sqlite3* db = nullptr;
    sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READONLY, nullptr);
    std::string answer;
    sqlite3_exec(
        db, "PRAGMA integrity_check; PRAGMA foreign_key_check",
        [](void* out, int, char** values, char**) {
            *static_cast<std::string*>(out) += values[0] ? values[0] : "NULL";
            return 0;
        },
        &answer, nullptr);
    sqlite3_close(db);
    return answer;
}

// Several units in one group: they are submitted while another process holds the lock.
std::vector<Waiting> submit_together(Box& box, std::vector<Store::Work> works) {
    storage::WriteLock other(box.options.file);
    while (!other.try_lock()) std::this_thread::sleep_for(1ms);
    std::vector<Waiting> waiting;
    for (auto& work : works) waiting.push_back(submit(*box.store, std::move(work)));
    std::this_thread::sleep_for(5ms);
    other.unlock();
    return waiting;
}

// No file of this process grows beyond this size, until the end of the scope.
class FileSizeLimit {
 public:
    explicit FileSizeLimit(rlim_t bytes) {
        ::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
    rlimit before_{};
};

}  // namespace

TEST_SUITE_BEGIN("storage trouble");

TEST_CASE("a full disk fails the whole group, and the store goes on") {
    struct Way {
        int code, system_error;
    };
    for (const Way way : {Way{SQLITE_FULL, 0}, Way{SQLITE_IOERR_WRITE, ENOSPC},
                          Way{SQLITE_IOERR_WRITE, EDQUOT}, Way{SQLITE_IOERR_WRITE, EFBIG}}) {
        CAPTURE(way.code);
        CAPTURE(way.system_error);
        Box box;
        box.open();
        CHECK(box.sign("first") == Commit::done);
        box.vfs.arm({Kind::write, 1, false, way.code, way.system_error});
        auto group = submit_together(
            box, {box.signup("a"), [](Transaction&) { throw std::domain_error("its own trouble"); },
                  box.signup("b")});
        CHECK(group[0].get().commit == Commit::disk_full);
        CHECK(group[1].get().commit == Commit::failed);
        CHECK(group[2].get().commit == Commit::disk_full);
        CHECK(box.vfs.has_failed());
        CHECK(box.store->stats().disk_full == 2);
        CHECK_FALSE(box.has("a"));
        CHECK(box.journal() == "first\n");  // what came to nothing is no withdrawal
        CHECK(box.sign("a") == Commit::done);
        CHECK(box.has("a"));
        CHECK(box.journal() == "first\na\n");
        CHECK(ask(*box.store, [](Reader& r) { return r.ledger_head(); }).seq == 2);
        CHECK(box.broken == 0);
        box.store.reset();
        CHECK(integrity(box.options.file) == "ok");
    }
}

TEST_CASE("a transaction that SQLite gives up in the middle takes every unit of its group along") {
    Box box;
    box.options.stale_after = 60'000;  // sanitizers are slow
    box.open();
    box.vfs.arm({Kind::write, 1, false, SQLITE_FULL, ENOSPC});
    bool third_ran = false;
    auto group = submit_together(box, {box.signup("a"),
                                       [](Transaction& t) {
                                           // more than the page cache holds, so that it is written before the
                                           // commit
                                           const std::string megabyte(1 << 20, 'x');
                                           for (int i = 0; i < 64; ++i) {
                                               t.keep({std::to_string(i), 1, "en", megabyte, ""});
                                           }
                                       },
                                       [&](Transaction&) { third_ran = true; }});
    CHECK(group[0].get().commit == Commit::disk_full);
    CHECK(group[1].get().commit == Commit::disk_full);
    CHECK(group[2].get().commit == Commit::done);  // in the next group
    CHECK(third_ran);
    CHECK_FALSE(box.has("a"));
    CHECK(box.sign("b") == Commit::done);
    box.store.reset();
    CHECK(integrity(box.options.file) == "ok");
}

TEST_CASE("an id that a lost transaction gave out is not given out again") {
    Box box;
    box.open();
    Id lost = 0;
    box.vfs.arm({Kind::write, 1, false, SQLITE_FULL, ENOSPC});
    CHECK(submit(*box.store, [&](Transaction& t) { lost = t.new_id(); }).get().commit == Commit::disk_full);
    Id next = 0;
    run(*box.store, [&](Transaction& t) { next = t.new_id(); });
    CHECK(next > lost);
}

TEST_CASE("a real limit on the file's size is a full disk, and lifting it ends the trouble") {
    Box box;
    box.options.vfs.clear();
    box.open();
    std::vector<std::string> kept;
    int full = 0;
    {
        const FileSizeLimit limit(600'000);
        for (int i = 0; i < 400 && full < 5; ++i) {
            const std::string address = std::to_string(i);
            const Commit commit = box.sign(address);
            if (commit == Commit::done)
                kept.push_back(address);
            else if (commit == Commit::disk_full)
                ++full;
            else
                FAIL(static_cast<int>(commit));
        }
    }
    CHECK(full == 5);
    CHECK(kept.size() > 3);
    CHECK(box.sign("afterwards") == Commit::done);
    for (const auto& address : kept) CHECK(box.has(address));
    CHECK(box.broken == 0);
}

TEST_CASE("after a full disk a checkpoint makes room in the WAL") {
    Box box;
    box.options.vfs.clear();
    box.open();
    int n = 0;
    Commit again = Commit::broken;
    {
        const FileSizeLimit limit(500'000);  // enough for the database itself, for a while
        while (n < 400 && box.sign(std::to_string(n)) == Commit::done) ++n;
        std::this_thread::sleep_for(1100ms);
        box.sign("tries");
        again = box.sign("again");
    }
    CHECK(n < 400);
    CHECK(again == Commit::done);
}

TEST_CASE("after a failed write or fsync nothing is acknowledged, and the process is told to end") {
    struct Way {
        Kind kind;
        int code, system_error;
    };
    for (const Way way :
         {Way{Kind::sync, SQLITE_IOERR_FSYNC, EIO}, Way{Kind::sync, SQLITE_IOERR_FSYNC, ENOSPC},
          Way{Kind::write, SQLITE_IOERR_WRITE, EIO}, Way{Kind::read, SQLITE_IOERR_READ, EIO}}) {
        CAPTURE(way.code);
        CAPTURE(way.system_error);
        Box box;
        box.open();
        CHECK(box.sign("first") == Commit::done);
        // The cause passes at once: a retry would seem to succeed.
        box.vfs.arm({way.kind, 1, way.kind == Kind::read, way.code, way.system_error});
        if (way.kind == Kind::read) {  // what was read stays in the cache; another process changes it
            auto other_options = box.options;
            other_options.vfs.clear();
            auto other = must_open(other_options);
            run(*other, [&](Transaction& t) { sign_up(t, "other", box.newsletter); });
        }
        auto group = submit_together(box, {box.signup("a"), box.signup("b")});
        CHECK(group[0].get().commit == Commit::broken);
        CHECK(group[1].get().commit == Commit::broken);
        CHECK(box.vfs.has_failed());
        CHECK(box.store->stats().broken);

        std::thread::id on;
        Commit refused = Commit::done;
        bool ran = false;
        box.store->submit([&](Transaction&) { ran = true; },
                          [&](CommitResult result) {
                              refused = result.commit;
                              on = std::this_thread::get_id();
                          });
        CHECK(refused == Commit::broken);
        CHECK(on == std::this_thread::get_id());
        CHECK_FALSE(ran);
        box.store.reset();
        CHECK(box.broken == 1);

        box.vfs.disarm();
        box.store = must_open(box.options);
        CHECK(box.has("first"));
        CHECK(box.sign("next") == Commit::done);
        box.store.reset();
        CHECK(integrity(box.options.file) == "ok");
    }
}

TEST_CASE("whichever write or sync fails, no acknowledged signup is lost and none is half there") {
    // The database in which each round starts.
    const TempFolder origin;
    auto origin_options = options_in(origin);
    const Id newsletter = make_newsletter(*must_open(origin_options), "morning");

    const std::vector<FaultyVfs::Fault> faults = {
        {Kind::write, 0, false, SQLITE_IOERR_WRITE, EIO}, {Kind::write, 0, true, SQLITE_IOERR_WRITE, EIO},
        {Kind::write, 0, false, SQLITE_FULL, ENOSPC},     {Kind::write, 0, true, SQLITE_FULL, ENOSPC},
        {Kind::sync, 0, false, SQLITE_IOERR_FSYNC, EIO},  {Kind::sync, 0, true, SQLITE_IOERR_FSYNC, EIO}};
    int rounds = 0;
    for (const auto& kind : faults) {
        bool failed = true;
        for (long at = 1; failed; ++at, ++rounds) {
            CAPTURE(at);
            CAPTURE(kind.code);
            CAPTURE(kind.sticky);
            Box box;
            box.newsletter = newsletter;
            box.options.checkpoint_pages = 20;
            for (const char* ending : {"", "-wal"}) {
                fs::copy_file(origin_options.file.string() + ending, box.options.file.string() + ending);
            }
            FaultyVfs::Fault fault = kind;
            fault.at = at;
            std::set<std::string> acknowledged;
            std::set<std::string> refused;
            box.vfs.arm(fault);
            auto opened = storage::open_sqlite(box.options);
            if (auto* store = std::get_if<std::unique_ptr<storage::SqliteStore>>(&opened)) {
                box.store = std::move(*store);
                for (int i = 0; i < 6; ++i) {
                    const std::string address = std::to_string(i);
                    (box.sign(address) == Commit::done ? acknowledged : refused).insert(address);
                }
                if (box.store->stats().broken) CHECK(box.sign("more") == Commit::broken);
                box.store.reset();
                CHECK(box.broken <= 1);
            }
            failed = box.vfs.has_failed();
            if (!failed) CHECK(acknowledged.size() == 6);
            box.vfs.disarm();

            box.options.on_broken = nullptr;
            box.store = must_open(box.options);
            for (const auto& address : acknowledged) CHECK(box.has(address));
            std::size_t there = 0;
            look(*box.store, [&](Reader& r) {
                for (int i = 0; i < 6; ++i) {
                    const auto person = r.person_by_key(std::to_string(i));
                    if (!person) continue;
                    ++there;
                    CHECK(r.subscriptions_of(person->id).size() == 1);
                    CHECK(r.letters_of(person->id).size() == 1);
                    CHECK(r.requests_of(person->id).size() == 1);
                    CHECK(r.events_of(person->id).size() == 1);
                    CHECK(r.budget(std::to_string(i)).size() == 1);
                }
                CHECK(r.ledger_head().seq == static_cast<std::int64_t>(there));
            });
            CHECK(there >= acknowledged.size());
            CHECK(box.sign("afterwards") == Commit::done);
            box.store.reset();
            CHECK(integrity(box.options.file) == "ok");
            REQUIRE(at < 1000);
        }
    }
    CHECK(rounds > 60);
}

TEST_CASE("what is answered as done was synced") {
    Box box;
    box.open();
    for (int i = 0; i < 5; ++i) {
        box.vfs.disarm();  // counts anew
        long synced = 0;
        Waiting waiting;
        box.store->submit(box.signup(std::to_string(i)), [&, done = waiting.done()](CommitResult result) {
            synced = box.vfs.syncs();
            done(result);
        });
        CHECK(waiting.get().commit == Commit::done);
        CHECK(synced >= 1);
    }
}

TEST_CASE("every write and every checkpoint happens under the write lock") {
    Box box;
    box.options.checkpoint_pages = 30;
    box.open();
    storage::LockFile lock(box.options.file.string() + ".lock");
    std::atomic<int> database_writes = 0;
    std::atomic<int> wal_writes = 0;
    std::atomic<int> unlocked = 0;
    box.vfs.on_write = [&](const std::string& name) {
        if (lock.try_lock()) {
            ++unlocked;
            lock.unlock();
        }
        ++(name.ends_with("-wal") ? wal_writes : database_writes);
    };
    for (int i = 0; i < 20; ++i) CHECK(box.sign(std::to_string(i)) == Commit::done);
    box.store.reset();
    box.vfs.on_write = nullptr;
    CHECK(wal_writes > 0);
    CHECK(database_writes > 0);
    CHECK(unlocked == 0);
}

TEST_CASE("checkpoints keep the WAL short") {
    Box box;
    box.options.checkpoint_pages = 50;
    box.open();
    for (int i = 0; i < 200; ++i) CHECK(box.sign(std::to_string(i)) == Commit::done);
    const auto stats = box.store->stats();
    CHECK(stats.checkpoints > 10);
    CHECK(stats.checkpoints < 100);
    CHECK(stats.wal_pages < 150);
    CHECK(fs::file_size(box.options.file.string() + "-wal") < 150 * 4200);
}

TEST_CASE("a reader that stays does not make a checkpoint of every commit") {
    Box box;
    box.options.checkpoint_pages = 200;
    box.open();
    look(*box.store, [&](Reader& r) {
        r.ledger_head();
        for (int i = 0; i < 200; ++i) CHECK(box.sign(std::to_string(i)) == Commit::done);
        CHECK(box.store->stats().wal_pages > 2000);
        CHECK(box.store->stats().checkpoints < 25);
    });
    for (int i = 200; i < 250; ++i) CHECK(box.sign(std::to_string(i)) == Commit::done);
    CHECK(box.store->stats().wal_pages < 600);  // once it is gone, the WAL starts anew
}

namespace {

// Do the files of the database hold these bytes anywhere?
bool on_disk(const Box& box, const std::string& bytes) {
    for (const char* suffix : {"", "-wal"}) {
        std::ifstream file(box.options.file.string() + suffix, std::ios::binary);
        const std::string all{std::istreambuf_iterator<char>(file), {}};
        if (all.find(bytes) != std::string::npos) return true;
    }
    return false;
}

void wait_until_gone(const Box& box, const std::string& bytes) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (on_disk(box, bytes) && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(5ms);
    CHECK_FALSE(on_disk(box, bytes));
}

std::string reader_number(int i) {
    return "a-reader-with-a-name-" + std::to_string(i) + "@example.org";
}

}  // namespace

TEST_CASE("nothing of who is erased is left in the files, the WAL included") {
    Box box;
    box.options.withdrawals_journal.clear();
    box.open();
    std::vector<Id> people;
    for (int i = 0; i < 60; ++i) {
        people.push_back(sign_up(*box.store, reader_number(i), box.newsletter));
        if (i % 20 == 19) {  // some pages are in the database already, some in the WAL only
            box.store.reset();
            box.store = must_open(box.options);
        }
    }
    run(*box.store, [&](Transaction& t) {
        Letter letter = t.letters_of(people[30]).at(0);
        letter.reply = "450 try later " + reader_number(30);
        t.update(letter);
    });
    REQUIRE(on_disk(box, reader_number(30)));
    run(*box.store, [&](Transaction& t) { t.erase_person(people[30]); });
    wait_until_gone(box, reader_number(30));
    for (int i = 0; i < 60; i += 3) {
        run(*box.store, [&](Transaction& t) { t.erase_person(people[static_cast<std::size_t>(i)]); });
    }
    for (int i = 0; i < 60; i += 3) wait_until_gone(box, reader_number(i));
    CHECK(on_disk(box, reader_number(1)));
    CHECK(box.has(reader_number(1)));
    const int commits = static_cast<int>(box.store->stats().groups);
    CHECK(box.sign("oksana") == Commit::done);
    CHECK(static_cast<int>(box.store->stats().groups) == commits + 1);
    CHECK(box.broken == 0);
}

TEST_CASE("a reader that holds the WAL puts that off until it goes; a process that ends waits for it") {
    Box box;
    box.options.withdrawals_journal.clear();
    box.open();
    const Id first = sign_up(*box.store, reader_number(1), box.newsletter);
    const Id second = sign_up(*box.store, reader_number(2), box.newsletter);
    look(*box.store, [&](Reader& r) {
        r.ledger_head();
        run(*box.store, [&](Transaction& t) { t.erase_person(first); });
        CHECK(box.sign("oksana") == Commit::done);
        CHECK(on_disk(box, reader_number(1)));
    });
    wait_until_gone(box, reader_number(1));
    run(*box.store, [&](Transaction& t) { t.erase_person(second); });
    box.store.reset();
    CHECK_FALSE(on_disk(box, reader_number(2)));
}

TEST_CASE("the first unit of a process comes after a checkpoint; one that only reads writes nothing") {
    Box box;
    box.open();
    for (int i = 0; i < 5; ++i) CHECK(box.sign(std::to_string(i)) == Commit::done);
    box.store.reset();
    CHECK(fs::file_size(box.options.file.string() + "-wal") > 0);  // closing makes no checkpoint

    box.vfs.disarm();  // counts anew
    box.store = must_open(box.options);
    CHECK(box.has("4"));
    box.store.reset();
    CHECK(box.vfs.writes() == 0);

    std::atomic<bool> checkpointed = false;
    box.vfs.on_write = [&](const std::string& name) {
        if (!name.ends_with("-wal")) checkpointed = true;
    };
    box.store = must_open(box.options);
    bool before = false;
    run(*box.store, [&](Transaction&) { before = checkpointed; });
    box.store.reset();
    box.vfs.on_write = nullptr;
    CHECK(before);
}

TEST_CASE("a journal that can't be opened fails only the unit that needs it") {
    Box box;
    box.open();
    box.store.reset();
    box.options.create = false;
    fs::remove(box.options.withdrawals_journal);
    fs::create_directory(box.options.withdrawals_journal);
    box.store = must_open(box.options);
    auto group =
        submit_together(box, {box.signup("a"), [&](Transaction& t) { sign_up(t, "b", box.newsletter); }});
    CHECK(group[0].get().commit == Commit::failed);
    CHECK(group[1].get().commit == Commit::done);
    CHECK_FALSE(box.has("a"));
    CHECK(box.broken == 0);
}

TEST_CASE("a journal on a full disk fails the group, and keeps no half line") {
    Box box;
    box.options.vfs.clear();
    box.open();
    CHECK(box.sign("first") == Commit::done);
    {
        std::ofstream fill(box.options.withdrawals_journal, std::ios::app);
        fill << std::string(1'000'000, 'x') << '\n';
    }
    const auto size = fs::file_size(box.options.withdrawals_journal);
    Commit full = Commit::done;
    {
        const FileSizeLimit limit(size + 2);  // half a line fits; the database has room
        full = box.sign("second");
    }
    const auto size_after = fs::file_size(box.options.withdrawals_journal);
    CHECK(full == Commit::disk_full);
    CHECK(size_after == size);
    CHECK_FALSE(box.has("second"));
    CHECK(box.sign("third") == Commit::done);
    CHECK(box.journal().ends_with("x\nthird\n"));
    struct stat file;
    REQUIRE(::stat(box.options.withdrawals_journal.c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0600);
}

TEST_CASE("the ledger can't be edited or cut, only forget what is personal") {
    Box box;
    box.open();
    CHECK(box.sign("first") == Commit::done);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(box.options.file.c_str(), &db) == SQLITE_OK);
    for (const char* sql :
         {"DELETE FROM ledger", "UPDATE ledger SET details = '{}'", "UPDATE ledger SET at = at + 1",
          "UPDATE ledger SET hash = zeroblob(32)", "UPDATE ledger SET seq = 7",
          "UPDATE ledger SET identity = '{}'", "UPDATE ledger SET evidence = NULL",
          "UPDATE ledger SET identity_nonce = zeroblob(16)"}) {
        CAPTURE(std::string(sql));
        CHECK(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK);
    }
    CHECK(sqlite3_exec(db, "UPDATE ledger SET evidence = NULL, evidence_nonce = NULL", nullptr, nullptr,
                       nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

TEST_SUITE_END();
