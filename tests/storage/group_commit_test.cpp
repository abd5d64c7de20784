// Group commit: what a unit of work may expect of the one thread that writes.
#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>

#include "storage/sqlite/lock_file.h"
#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;
using namespace std::chrono_literals;

namespace {

// Keeps the writer from its work, as another process that writes does.
class OtherWriter {
 public:
    explicit OtherWriter(const storage::SqliteOptions& options) : lock_(options.file) {
        while (!lock_.try_lock()) std::this_thread::sleep_for(1ms);
    }
    void finish() { lock_.unlock(); }

 private:
    storage::WriteLock lock_;
};

struct Box {
    TempFolder folder;
    storage::SqliteOptions options = options_in(folder);
    std::unique_ptr<storage::SqliteStore> store;
    Id newsletter = 0;

    void open() {
        store = must_open(options);
        newsletter = make_newsletter(*store, "morning");
    }
    Store::Work signup(const std::string& address) {
        return [this, address](Transaction& t) { sign_up(t, address, newsletter); };
    }
    bool has(const std::string& address) {
        return ask(*store, [&](Reader& r) { return r.person_by_key(address).has_value(); });
    }
};

}  // namespace

TEST_SUITE_BEGIN("group commit");

TEST_CASE("all units that wait are committed together") {
    Box box;
    box.open();
    OtherWriter other(box.options);
    const auto before = box.store->stats();
    std::vector<Waiting> waiting;
    for (int i = 0; i < 10; ++i) waiting.push_back(submit(*box.store, box.signup(std::to_string(i))));
    std::this_thread::sleep_for(20ms);
    CHECK(box.store->stats().queue_depth == 10);
    CHECK_FALSE(waiting[0].is_ready());
    other.finish();
    for (auto& each : waiting) CHECK(each.get().commit == Commit::done);
    const auto after = box.store->stats();
    CHECK(after.groups - before.groups == 1);
    CHECK(after.units - before.units == 10);
    CHECK(after.queue_depth == 0);
    CHECK(box.has("9"));
}

TEST_CASE("nobody is answered before the group is committed") {
    Box box;
    box.open();
    auto look_for = [&] { return box.has("first"); };
    std::atomic<bool> seen = false;
    OtherWriter other(box.options);
    Waiting answered;
    box.store->submit(box.signup("first"), [&, done = answered.done()](CommitResult result) {
        seen = std::async(std::launch::async, look_for).get();  // by another connection
        done(result);
    });
    auto second = submit(*box.store, [&](Transaction&) {
        std::this_thread::sleep_for(30ms);
        if (answered.is_ready()) throw std::runtime_error("too early");
    });
    other.finish();
    CHECK(answered.get().commit == Commit::done);
    CHECK(seen);
    CHECK(second.get().commit == Commit::done);
}

TEST_CASE("a unit that throws is rolled back alone") {
    Box box;
    box.open();
    OtherWriter other(box.options);
    const auto before = box.store->stats();
    int runs = 0;
    auto one = submit(*box.store, [&](Transaction& t) {
        ++runs;
        sign_up(t, "one", box.newsletter);
        t.journal_withdrawal("one");
    });
    auto bad = submit(*box.store, [&](Transaction& t) {
        sign_up(t, "bad", box.newsletter);
        t.journal_withdrawal("bad");
        throw std::domain_error("no");
    });
    auto two = submit(*box.store, [&](Transaction& t) {
        sign_up(t, "two", box.newsletter);
        t.journal_withdrawal("two");
    });
    other.finish();
    CHECK(one.get().commit == Commit::done);
    CHECK(bad.get().commit == Commit::failed);
    CHECK(two.get().commit == Commit::done);
    CHECK(box.store->stats().groups - before.groups <= 2);  // on a slow machine `two` comes in the next
    CHECK(box.has("one"));
    CHECK_FALSE(box.has("bad"));
    CHECK(box.has("two"));
    CHECK(runs == 2);  // it may: each time on a clean view
    CHECK(ask(*box.store, [](Reader& r) { return r.ledger_head(); }).seq == 2);
    CHECK(ask(*box.store, [](Reader& r) { return r.events(0, 9).size(); }) == 2);
    CHECK(ask(*box.store, [&](Reader& r) { return r.count_export_rows({}); }) == 2);
    std::string journal;
    std::getline(std::ifstream(box.options.withdrawals_journal), journal, '\0');
    CHECK(journal == "one\ntwo\n");
}

TEST_CASE("the ledger's head is sealed once a group, for the last event that stays") {
    Box box;
    box.open();
    OtherWriter other(box.options);
    std::vector<std::int64_t> sealed_at;
    const auto append = [&](bool fail) {
        return [&sealed_at, fail](Transaction& t) {
            t.append(an_event(t.ledger_head(), 1), [&sealed_at](std::int64_t seq, const Digest& hash) {
                sealed_at.push_back(seq);
                return sealed(seq, hash);
            });
            if (fail) throw std::domain_error("no");
        };
    };
    std::vector<Waiting> waiting;
    for (const bool fail : {false, true, false, true}) waiting.push_back(submit(*box.store, append(fail)));
    other.finish();
    for (auto& each : waiting) each.get();
    CHECK(sealed_at == std::vector<std::int64_t>{2});
    const LedgerHead head = ask(*box.store, [](Reader& r) { return r.ledger_head(); });
    CHECK(head.seq == 2);
    CHECK(head.seal == sealed(2, head.hash).seal);
}

TEST_CASE("a person is kept with her unit, even if she is all that it adds") {
    Box box;
    box.open();
    const auto add = [](const std::string& address) {
        return [address](Transaction& t) {
            t.add(a_person(t.new_id(), address));
            t.set_budget(address, std::vector<BudgetEntry>{{1, 2}});
        };
    };
    OtherWriter other(box.options);
    auto first = submit(*box.store, add("first"));
    auto bad = submit(*box.store, [&](Transaction& t) {
        add("bad")(t);
        throw std::domain_error("no");
    });
    auto twice = submit(*box.store, [&](Transaction& t) {
        add("twice")(t);
        add("twice")(t);
    });
    auto again = submit(*box.store, add("bad"));
    auto taken = submit(*box.store, add("first"));
    other.finish();
    CHECK(first.get().commit == Commit::done);
    CHECK(bad.get().commit == Commit::failed);
    CHECK(twice.get().commit == Commit::failed);
    CHECK(again.get().commit == Commit::done);
    CHECK(taken.get().commit == Commit::failed);
    CHECK(box.has("first"));
    CHECK(box.has("bad"));
    CHECK_FALSE(box.has("twice"));
    for (const std::string address : {"first", "bad"}) {
        CHECK(ask(*box.store, [&](Reader& r) { return r.budget(address); }) ==
              std::vector<BudgetEntry>{{1, 2}});
    }
    CHECK(ask(*box.store, [&](Reader& r) { return r.budget("twice"); }).empty());
}

TEST_CASE("a unit that keeps a database error to itself fails all the same") {
    Box box;
    box.open();
    auto result = submit(*box.store, [&](Transaction& t) {
                      const Id person = sign_up(t, "first", box.newsletter);
                      try {
                          t.add(a_letter(t.new_id(), person, box.newsletter));  // a second open confirmation
                      } catch (const StorageError&) {
                          // it must not
                      }
                  }).get();
    CHECK(result.commit == Commit::failed);
    CHECK(result.error);
    CHECK_FALSE(box.has("first"));
    CHECK(submit(*box.store, box.signup("second")).get().commit == Commit::done);
}

TEST_CASE("when the queue is full, more units are refused at once, on the caller's thread") {
    Box box;
    box.options.queue = 4;
    box.open();
    OtherWriter other(box.options);
    std::vector<Waiting> waiting;
    for (int i = 0; i < 4; ++i) waiting.push_back(submit(*box.store, box.signup(std::to_string(i))));
    std::thread::id answered_on;
    Commit commit = Commit::done;
    bool ran = false;
    box.store->submit([&](Transaction&) { ran = true; },
                      [&](CommitResult result) {
                          answered_on = std::this_thread::get_id();
                          commit = result.commit;
                      });
    CHECK(commit == Commit::busy);
    CHECK(answered_on == std::this_thread::get_id());
    CHECK(box.store->stats().busy == 1);
    other.finish();
    for (auto& each : waiting) CHECK(each.get().commit == Commit::done);
    CHECK_FALSE(ran);
    CHECK(submit(*box.store, box.signup("later")).get().commit == Commit::done);
}

TEST_CASE("a unit that waited too long is dropped before it runs") {
    Box box;
    box.options.stale_after = 60;
    box.open();
    OtherWriter other(box.options);
    std::atomic<bool> ran = false;
    auto late = submit(*box.store, [&](Transaction&) { ran = true; });
    const auto start = std::chrono::steady_clock::now();
    CHECK(late.get().commit == Commit::too_late);  // even while the other one still writes
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    other.finish();
    CHECK(submit(*box.store, box.signup("fresh")).get().commit == Commit::done);
    CHECK_FALSE(ran);
    CHECK(box.store->stats().too_late == 1);
}

TEST_CASE("a unit that waited too long behind others is dropped too") {
    Box box;
    box.options.stale_after = 60;
    box.open();
    std::atomic<bool> ran = false;
    auto slow = submit(*box.store, [](Transaction&) { std::this_thread::sleep_for(150ms); });
    auto late = submit(*box.store, [&](Transaction&) { ran = true; });
    CHECK(slow.get().commit == Commit::done);
    CHECK(late.get().commit == Commit::too_late);
    CHECK_FALSE(ran);
}

TEST_CASE("the write lock is held while units run, and free between groups") {
    Box box;
    box.open();
    storage::LockFile lock(box.options.file.string() + ".lock");
    std::atomic<bool> taken = false;
    run(*box.store, [&](Transaction&) { taken = lock.try_lock(); });
    CHECK_FALSE(taken);
    bool free = lock.try_lock();
    for (int i = 0; i < 100 && !free; ++i) {
        std::this_thread::sleep_for(1ms);
        free = lock.try_lock();
    }
    CHECK(free);
}

TEST_CASE("readers don't wait for writers") {
    Box box;
    box.open();
    OtherWriter other(box.options);
    auto waiting = submit(*box.store, box.signup("first"));
    CHECK_FALSE(box.has("first"));
    other.finish();
    CHECK(waiting.get().commit == Commit::done);
    CHECK(box.has("first"));
}

TEST_CASE("a query sees one moment, whatever is written meanwhile") {
    Box box;
    box.open();
    look(*box.store, [&](Reader& r) {
        CHECK(r.ledger_head().seq == 0);
        run(*box.store, box.signup("first"));
        CHECK_FALSE(r.person_by_key("first"));
        CHECK(r.events(0, 9).empty());
    });
    CHECK(box.has("first"));
}

TEST_CASE("a process that writes without pause lets another one in") {
    Box box;
    box.open();
    auto second = must_open(box.options);
    // Slow units always wait in the first one, as in an import: each is followed by the next from within its
    // `done`.
    std::atomic<bool> stop = false;
    std::atomic<int> written = 0;
    std::atomic<int> running = 30;
    std::function<void()> next = [&] {
        if (stop) {
            --running;
            return;
        }
        box.store->submit(
            [&](Transaction& t) {
                std::this_thread::sleep_for(2ms);
                sign_up(t, "a" + std::to_string(t.ledger_head().seq), box.newsletter);
            },
            [&](CommitResult result) {
                if (result.commit == Commit::done) ++written;
                next();
            });
    };
    for (int i = 0; i < 30; ++i) next();
    const auto start = std::chrono::steady_clock::now();
    int done = 0;
    for (int i = 0; i < 10; ++i) {
        if (submit(*second, box.signup("b" + std::to_string(i))).get().commit == Commit::done) ++done;
    }
    const auto took = std::chrono::steady_clock::now() - start;
    stop = true;
    while (running != 0) std::this_thread::sleep_for(1ms);
    CHECK(done == 10);
    // The other one holds the lock for 50 ms at most, and then it is our turn. Without a line this takes 5 s.
    CHECK(took < 2s);
    CHECK(written > 0);
    CHECK(ask(*second, [](Reader& r) { return r.ledger_head(); }).seq == written + 10);
}

TEST_CASE("two processes never give out the same id, and see each other's newsletters") {
    Box box;
    box.open();
    auto second = must_open(box.options);
    std::vector<Id> ids;
    for (int i = 0; i < 10; ++i) {
        for (Store* store : {static_cast<Store*>(box.store.get()), static_cast<Store*>(second.get())}) {
            Id id = 0;
            run(*store, [&](Transaction& t) { id = t.new_id(); });
            if (!ids.empty()) CHECK(id > ids.back());
            ids.push_back(id);
        }
    }
    CHECK(ask(*second, [](Reader& r) { return r.newsletters()->find("evening") == nullptr; }));
    make_newsletter(*box.store, "evening");
    CHECK(ask(*second, [](Reader& r) { return r.newsletters()->find("evening") != nullptr; }));
    run(*second, [](Transaction& t) {
        Newsletter n = *t.newsletters()->find("evening");
        n.open = false;
        t.update(n);
    });
    CHECK(ask(*box.store, [](Reader& r) { return !r.newsletters()->find("evening")->open; }));
    run(*box.store, [](Transaction& t) { CHECK_FALSE(t.newsletters()->find("evening")->open); });
}

TEST_CASE("what was rolled back never comes back by the newsletters' cache") {
    Box box;
    box.open();
    for (const std::string slug : {"lost", "kept"}) {
        submit(*box.store, [&](Transaction& t) {
            t.add(a_newsletter(t.new_id(), slug));
            CHECK(t.newsletters()->find(slug) != nullptr);
            if (slug == "lost") throw std::domain_error("no");
        }).get();
    }
    const auto lists = ask(*box.store, [](Reader& r) { return r.newsletters(); });
    CHECK(lists->find("kept") != nullptr);
    CHECK(lists->find("lost") == nullptr);
}

TEST_CASE("what waits when the store is destroyed is run and answered") {
    Box box;
    box.open();
    std::vector<Waiting> waiting;
    for (int i = 0; i < 50; ++i) waiting.push_back(submit(*box.store, box.signup(std::to_string(i))));
    box.store.reset();
    for (auto& each : waiting) {
        REQUIRE(each.is_ready());
        CHECK(each.get().commit == Commit::done);
    }
    box.store = must_open(box.options);
    CHECK(box.has("49"));
}

TEST_CASE("many threads write and read at once") {
    Box box;
    box.open();
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&, n] {
            for (int i = 0; i < 100; ++i) {
                const std::string address = std::to_string(n) + "-" + std::to_string(i);
                if (submit(*box.store, box.signup(address)).get().commit != Commit::done) ++wrong;
                if (!box.has(address)) ++wrong;
                if (ask(*box.store, [](Reader& r) { return r.newsletters()->all().size(); }) < 1) ++wrong;
                box.store->stats();
                if (n == 0 && i % 20 == 0) make_newsletter(*box.store, address);
            }
        });
    }
    for (auto& each : threads) each.join();
    CHECK(wrong == 0);
    CHECK(ask(*box.store, [](Reader& r) { return r.events(0, 1000).size(); }) == 400);
}

TEST_SUITE_END();
