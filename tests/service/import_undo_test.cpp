#include "service/import_undo.h"

#include "tests/service/import_newsroom.h"

namespace zgoda::service {

TEST_SUITE_BEGIN("import undo");

namespace {

using S = SubscriptionStatus;
const std::string ada = "ada@example.org";

}  // namespace

TEST_CASE("undo restores what nobody changed since") {
    Newsroom news;
    news.subscribed("known@example.org", {"weekly"});
    news.sign_up("asked@example.org", {"weekly"});
    const std::string before = news.state();
    ImportRow better = Newsroom::row("known@example.org", S::unsubscribed);
    better.unsubscribed_at = news.now + 1;
    better.fields = R"({"x":"1"})";
    Id batch = 0;
    CHECK(news.import({better, Newsroom::row("asked@example.org"), Newsroom::row(ada),
                       Newsroom::row(ada, S::bounced), Newsroom::row("left@example.org"),
                       Newsroom::row("gone@example.org"), Newsroom::row("busy@example.org")},
                      ImportFormat::generic,
                      &batch) == "merged, merged, imported, merged, imported, imported, imported");
    CHECK(news.state() != before);
    news.leave(news.unsubscribe_link("left@example.org", "weekly"));
    run(news.store, [&](Transaction& tx) {
        erase(tx, *tx.person_by_key("gone@example.org"), news.rules, news.moment());
    });
    news.sign_up("busy@example.org", {"culture"});
    const ImportBatch undone = news.undo(batch);
    CHECK(undone.kept == 3);  // left: her subscription and her row; busy: her row
    CHECK(news.status("left@example.org", "weekly") == "unsubscribed");
    CHECK(news.status("busy@example.org", "weekly") == "none");
    CHECK(news.status("busy@example.org", "culture") == "pending");
    CHECK_FALSE(news.person("gone@example.org"));
    CHECK_FALSE(news.person(ada));
    CHECK_FALSE(news.suppressed_as(ada, SuppressionReason::hard_bounce));
    CHECK(news.status("known@example.org", "weekly") == "confirmed");
    CHECK(news.status("asked@example.org", "weekly") == "pending");
    CHECK(news.store.tables.import_entries.empty());
    CHECK_FALSE(news.verify_chain().problem);
    run(news.store,
        [&](Transaction& tx) { CHECK(start_undo(tx, batch, news.now) == UndoStart::undone_before); });
    CHECK(news.import({Newsroom::row(ada)}) == "imported");  // no memory of her refuses a better file
}

TEST_CASE("undo leaves what readers asked for themselves meanwhile") {
    Newsroom news;
    news.subscribed("known@example.org", {"weekly"});
    ImportRow leaves = Newsroom::row("known@example.org", S::unsubscribed);
    leaves.unsubscribed_at = news.now + 1;
    Id batch = 0;
    CHECK(news.import(
              {Newsroom::row("left@example.org", S::unsubscribed), Newsroom::row("told@example.org"), leaves},
              ImportFormat::generic, &batch) == "imported, imported, merged");
    news.now += minute_ms;
    news.sign_up("left@example.org", {"weekly"});
    news.sign_up("told@example.org", {"weekly"});
    const std::size_t lines = news.store.withdrawals_journal.size();
    news.undo(batch);
    CHECK(news.status("left@example.org", "weekly") == "pending");
    CHECK(news.status("told@example.org", "weekly") == "confirmed");  // as the letter says that waits for her
    CHECK(news.status("known@example.org", "weekly") == "confirmed");
    CHECK(news.store.withdrawals_journal.size() == lines + 1);  // no restored backup ends it again
    const auto letters = news.deliver();
    REQUIRE(letters.size() == 2);
    news.press(letters[0].confirm_token.empty() ? letters[1].confirm_token : letters[0].confirm_token);
    CHECK(news.status("left@example.org", "weekly") == "confirmed");
    CHECK_FALSE(news.verify_chain().problem);
}

TEST_CASE("undo takes its own suppression back beside another's of another reason") {
    Newsroom news;
    Id batch = 0;
    news.import({Newsroom::row(ada, S::bounced)}, ImportFormat::generic, &batch);
    run(news.store, [&](Transaction& tx) {
        suppress(tx, std::get<EmailAddress>(check_address(ada, AddressRules{})), "asked by telephone",
                 news.rules, news.moment());
    });
    news.undo(batch);
    CHECK_FALSE(news.suppressed_as(ada, SuppressionReason::hard_bounce));
    CHECK(news.suppressed_as(ada, SuppressionReason::admin));
}

TEST_CASE("what a later import says as well is the later one's to take back") {
    for (const bool first_first : {true, false}) {
        Newsroom news;
        Id one = 0, two = 0;
        const std::vector<ImportRow> rows{Newsroom::row(ada), Newsroom::row("eve@example.org", S::bounced)};
        news.import(rows, ImportFormat::generic, &one);
        const std::string between = news.state();
        CHECK(news.import(rows, ImportFormat::generic, &two) == "unchanged, unchanged");
        news.undo(first_first ? one : two);
        CHECK(news.state() == between);
        news.undo(first_first ? two : one);
        CHECK(news.state().empty());
        CHECK(news.store.tables.people.empty());
        CHECK_FALSE(news.verify_chain().problem);
    }
}

TEST_CASE("what a later import has changed can be taken back once that one is") {
    for (const std::size_t rows : {1U, 2U, 3U, 50U}) {
        Newsroom news;
        news.subscribed("known@example.org", {"weekly"});
        const std::string before = news.state();
        const std::size_t people = news.store.tables.people.size();
        Id bad = 0, left = 0, gone = 0;
        news.import({Newsroom::row(ada), Newsroom::row("eve@example.org"), Newsroom::row("bob@example.org")},
                    ImportFormat::generic, &bad);
        news.now += minute_ms;
        const auto leave = [&](const std::vector<ImportRow>& who, Id* batch) {
            ImportPlan plan;
            plan.leaves_only = plan.everything = true;
            plan.reason = "left elsewhere";
            std::swap(news.plan, plan);
            news.import(who, ImportFormat::generic, batch);
            std::swap(news.plan, plan);
        };
        leave({Newsroom::row(ada), Newsroom::row("bob@example.org")}, &left);
        ImportRow worse = Newsroom::row("bob@example.org", S::complained);
        worse.unsubscribed_at = news.now + 1;
        news.import({worse}, ImportFormat::generic, &gone);

        std::set<Id> changed_by;
        CHECK(news.undo(bad, rows, &changed_by).kept == 4);  // two people, two subscriptions
        CHECK(changed_by == std::set<Id>{left, gone});
        changed_by.clear();
        CHECK(news.undo(bad, rows, &changed_by).kept == 4);  // again, too early
        CHECK(changed_by == std::set<Id>{left, gone});
        CHECK(news.status(ada, "weekly") == "unsubscribed");
        CHECK_FALSE(news.person("eve@example.org"));

        news.undo(gone, rows);
        news.undo(left, rows);
        CHECK(news.status(ada, "weekly") == "confirmed");
        changed_by.clear();
        const ImportBatch undone = news.undo(bad, rows, &changed_by);
        CHECK(undone.kept == 0);
        CHECK(undone.restored == 6);
        CHECK(changed_by.empty());
        CHECK(news.state() == before);
        CHECK(news.store.tables.people.size() == people);
        CHECK(news.store.tables.import_entries.empty());
        CHECK_FALSE(news.verify_chain().problem);
        run(news.store,
            [&](Transaction& tx) { CHECK(start_undo(tx, bad, news.now) == UndoStart::undone_before); });
    }
}

TEST_CASE("after 30 days a batch stays, and its journal is cleared") {
    Newsroom news;
    Id batch = 0;
    news.import({Newsroom::row(ada), Newsroom::row("bob@example.org")}, ImportFormat::generic, &batch);
    news.now += 30 * day_ms;
    run(news.store, [&](Transaction& tx) { CHECK_FALSE(forget_old_imports(tx, 1, news.now)); });
    news.now += 1;
    run(news.store, [&](Transaction& tx) { CHECK(start_undo(tx, batch, news.now) == UndoStart::too_old); });
    run(news.store, [&](Transaction& tx) { CHECK(forget_old_imports(tx, 1, news.now)); });
    run(news.store, [&](Transaction& tx) {
        while (forget_old_imports(tx, 1, news.now)) {
        }
    });
    CHECK(news.store.tables.import_entries.empty());
    CHECK(news.status(ada, "weekly") == "confirmed");
}

TEST_SUITE_END();

}  // namespace zgoda::service
