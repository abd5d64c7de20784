// What every Store promises to imports.
#include <doctest/doctest.h>

#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

TEST_SUITE_BEGIN("store contract: imports");

namespace {

ImportBatch a_batch(Id id, const std::string& name) {
    ImportBatch b;
    b.id = id;
    b.name = name;
    b.digest.fill(7);
    b.format = "ghost";
    b.basis = "Asked at the old place.";
    b.started_at = b.changed_at = 1'000;
    return b;
}

}  // namespace

TEST_CASE_TEMPLATE("a batch comes back as it was kept", S, ALL_STORES) {
    S s;
    ImportBatch b;
    run(s.store, [&](Transaction& t) { t.add(b = a_batch(t.new_id(), "monday")); });
    b.state = ImportState::undone;
    b.changed_at = 2'000;
    b.position = 10, b.imported = 1, b.merged = 2, b.unchanged = 3, b.refused = 4, b.restored = 5, b.kept = 6;
    b.whys = {{"erased", 1}, {"unproven", 3}};
    run(s.store, [&](Transaction& t) { t.update(b); });
    const auto kept = ask(s.store, [&](Reader& r) { return r.import_batch(b.id); });
    REQUIRE(kept);
    CHECK(kept->name == "monday");
    CHECK(kept->digest == b.digest);
    CHECK(kept->state == ImportState::undone);
    CHECK(kept->format == "ghost");
    CHECK(kept->basis == b.basis);
    CHECK(kept->started_at == 1'000);
    CHECK(kept->changed_at == 2'000);
    CHECK(kept->position == 10);
    CHECK(kept->imported * 10000 + kept->merged * 1000 + kept->unchanged * 100 + kept->refused * 10 == 12340);
    CHECK(kept->restored * 10 + kept->kept == 56);
    CHECK(kept->whys == b.whys);
    run(s.store, [&](Transaction& t) { t.add(a_batch(t.new_id(), "tuesday")); });
    CHECK(ask(s.store, [](Reader& r) { return r.import_batches().size(); }) == 2);
    CHECK(ask(s.store, [](Reader& r) { return r.import_batches().front().name; }) == "monday");
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.import_batch(b.id + 100); }));
    CHECK(submit(s.store, [](Transaction& t) { t.add(a_batch(t.new_id(), "monday")); }).get().commit ==
          Commit::failed);
}

TEST_CASE_TEMPLATE("entries come last row first, by person, and go one by one, in bulk, and with her", S,
                   ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id ada = sign_up(s.store, "ada@example.org", newsletter);
    const Id eve = sign_up(s.store, "eve@example.org", newsletter);
    Id one = 0, two = 0;
    run(s.store, [&](Transaction& t) {
        t.add(a_batch(one = t.new_id(), "one"));
        t.add(a_batch(two = t.new_id(), "two"));
        t.add(ImportEntry{one, 1, ada, "[1]"});
        t.add(ImportEntry{one, 2, eve, "[2]"});
        t.add(ImportEntry{two, 1, ada, "[3]"});
        t.add(ImportEntry{one, 7, ada, "[4]"});
    });
    const auto rows = [&](Id batch, std::size_t limit) {
        std::vector<std::int64_t> out;
        look(s.store, [&](Reader& r) {
            for (const ImportEntry& e : r.import_entries(batch, limit)) out.push_back(e.row);
        });
        return out;
    };
    const auto of = [&](Id person) {
        std::string out;
        look(s.store, [&](Reader& r) {
            for (const ImportEntry& e : r.import_entries_of(person)) out += e.changes;
        });
        return out;
    };
    CHECK(rows(one, 10) == std::vector<std::int64_t>{7, 2, 1});
    CHECK(rows(one, 2) == std::vector<std::int64_t>{7, 2});
    CHECK(of(ada) == "[1][4][3]");
    run(s.store, [&](Transaction& t) {
        t.update(ImportEntry{one, 7, ada, "[5]"});
        t.remove(ImportEntry{one, 1, ada, ""});
    });
    CHECK(of(ada) == "[5][3]");
    run(s.store, [&](Transaction& t) { t.erase_person(ada); });
    CHECK(of(ada) == "");
    CHECK(rows(one, 10) == std::vector<std::int64_t>{2});
    run(s.store, [&](Transaction& t) {
        CHECK(t.forget_import_entries(one, 10) == 1);
        CHECK(t.forget_import_entries(one, 10) == 0);
    });
    CHECK(of(eve) == "");
}

TEST_CASE_TEMPLATE("a subscription that an import made can go again", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id ada = sign_up(s.store, "ada@example.org", newsletter);
    run(s.store, [&](Transaction& t) { t.remove(t.subscriptions_of(ada).front()); });
    CHECK(ask(s.store, [&](Reader& r) { return r.subscriptions_of(ada).empty(); }));
    CHECK(ask(s.store, [&](Reader& r) { return r.person(ada).has_value(); }));
}

TEST_SUITE_END();
