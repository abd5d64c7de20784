// The administrator's rules: the stop switch, retention, what a restore replays, who may come back, the
// funnel.
#include "service/desk.h"

#include <set>

#include "service/admin_token.h"
#include "service/audit.h"
#include "service/evidence.h"
#include "service/mail_pause.h"
#include "service/restore.h"
#include "service/retention.h"
#include "service/stats.h"
#include "service/suppression.h"
#include "tests/service/world.h"

using namespace zgoda::service;

namespace {

EmailAddress address_of(const std::string& text) {
    return std::get<EmailAddress>(check_address(text, AddressRules{}));
}

struct Desk : World {
    void pause(MailPause::Scope scope, const std::string& name = "", bool on = true) {
        run(store, [&](Transaction& tx) {
            if (on)
                tx.add(MailPause{scope, name, now});
            else
                tx.remove(MailPause{scope, name, now});
        });
        settle_pauses(store, now);
    }

    std::vector<std::string> delivered() {
        std::vector<std::string> to;
        for (const LeasedLetter& one : deliver()) to.push_back(one.person.address);
        return to;
    }

    bool waits() {
        bool yes = false;
        look(store, [&](Reader& reader) {
            yes = work_waits(
                reader, [](const std::string&) { return true; }, rules, now);
        });
        return yes;
    }

    Purged forget(bool dry_run = false) {
        return purge(store, {10 * day_ms, 90 * day_ms, 30 * day_ms}, rules, now, dry_run);
    }

    bool suppress(const std::string& address) {
        bool done = false;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            done = zgoda::service::suppress(tx, address_of(address), "law", rules, when);
        });
        return done;
    }

    std::vector<SuppressionReason> lift(const std::string& address) {
        std::vector<SuppressionReason> out;
        const Moment when = moment();
        run(store,
            [&](Transaction& tx) { out = lift_suppressions(tx, address_of(address), "asked", rules, when); });
        return out;
    }

    EvidencedOutcome confirm_for(const std::string& address, std::optional<Id> newsletter = {}) {
        EvidencedOutcome out;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            out = confirm_by_evidence(tx, *tx.person_by_key(address), newsletter, "a card", rules, when);
        });
        return out;
    }

    Departures journal() {
        Departures departures;
        for (const std::string& line : store.withdrawals_journal) CHECK(departures.add(line, keys));
        return departures;
    }

    // As an undo would write it.
    std::string journal_line(const std::string& address, const std::string& what) {
        const Digest hash = hmac(*keys.key(keys.oldest(), KeyUse::journal),
                                 address + "\n" + what + " " + std::to_string(id_of("daily")));
        return rfc3339(now) + " " + std::to_string(keys.oldest()) + " " + to_hex(hash);
    }

    void leave_after_confirming(const std::string& address) {
        subscribed(address, {"daily"});
        leave(unsubscribe_link(address, "daily"));
    }

    void erase(const std::string& address, bool never_again = false) {
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            zgoda::service::erase(tx, *tx.person_by_key(address), rules, when, Way::admin, never_again);
        });
    }

    void complain(const std::string& address) {
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            zgoda::service::complain(tx, *tx.person_by_key(address), 0, rules, when);
        });
    }

    std::set<std::string> suppressions() {
        std::set<std::string> all;
        for (const Suppression& one : store.tables.suppressions)
            all.insert(to_hex(one.key) + std::string(word(one.reason)));
        return all;
    }

    Funnel funnel_of(const std::string& slug) {
        StatsQuery query;
        query.since = now - 30 * day_ms;
        return funnel(store, query).rows[slug];
    }
};

using Addresses = std::vector<std::string>;
using Scope = MailPause::Scope;

}  // namespace

TEST_SUITE_BEGIN("the desk");

TEST_CASE_FIXTURE(Desk, "while all is paused nothing is leased, and nothing is due to a mailer") {
    sign_up("ada@example.org", {"daily"});
    for (const Scope scope : {Scope::all, Scope::after_restore}) {
        pause(scope);
        CHECK_FALSE(waits());
        CHECK(delivered().empty());
        pause(scope, "", false);
    }
    CHECK(waits());
    CHECK(delivered() == Addresses{"ada@example.org"});
}

TEST_CASE_FIXTURE(Desk, "a pause of a newsletter holds every letter that names it, before and after") {
    sign_up("early@example.org", {"weekly"});
    pause(Scope::newsletter, std::to_string(id_of("weekly")));
    sign_up("ada@example.org", {"daily"});
    sign_up("eve@example.org", {"daily", "weekly"});
    CHECK(delivered() == Addresses{"ada@example.org"});
    CHECK_FALSE(waits());  // what is held is looked at once
    pause(Scope::newsletter, std::to_string(id_of("weekly")), false);
    CHECK(delivered() == Addresses{"early@example.org", "eve@example.org"});
}

TEST_CASE_FIXTURE(Desk, "a pause of a domain holds letters to it, and what another pause holds stays held") {
    sign_up("ada@example.org", {"daily"});
    sign_up("bob@held.example.org", {"daily"});
    sign_up("eve@held.example.org", {"weekly"});
    pause(Scope::domain, "held.example.org");
    pause(Scope::newsletter, std::to_string(id_of("weekly")));
    CHECK(delivered() == Addresses{"ada@example.org"});
    pause(Scope::domain, "held.example.org", false);
    CHECK(delivered() == Addresses{"bob@held.example.org"});
}

TEST_CASE_FIXTURE(Desk, "who never confirmed is forgotten ten days after the last letter") {
    subscribed("stays@example.org", {"daily"});
    sign_up("never@example.org", {"daily"});
    deliver();
    const Id id = person("never@example.org")->id;
    now += 10 * day_ms - 1;
    CHECK(forget().people == 0);
    now += 2;
    CHECK(forget(true).people == 1);
    CHECK(person("never@example.org"));
    CHECK(forget().people == 1);
    CHECK_FALSE(person("never@example.org"));
    CHECK(status("stays@example.org", "daily") == "confirmed");
    for (const Event& event : events()) {
        if (event.person == id) CHECK(event.identity.empty());
    }
    CHECK(count(EventKind::erased) == 1);
    CHECK_FALSE(verify_chain().problem);
    CHECK(store.tables.suppressions.empty());  // it was nobody's wish
}

TEST_CASE_FIXTURE(Desk, "nobody is forgotten whose letter is still under way, who left, or who asked again") {
    leave_after_confirming("left@example.org");
    sign_up("waits@example.org", {"daily"});
    pause(Scope::all);
    now += 11 * day_ms;
    CHECK(forget().people == 0);
    pause(Scope::all, "", false);
    deliver();
    CHECK(forget().people == 0);
    now += 9 * day_ms;
    sign_up("waits@example.org", {"weekly"});
    deliver();
    now += 2 * day_ms;
    CHECK(forget().people == 0);
    now += 9 * day_ms;
    CHECK(forget().people == 1);
}

TEST_CASE_FIXTURE(Desk, "being forgotten does not renew the mail budget") {
    for (int i = 0; i < 5; ++i) {
        sign_up("ada@example.org", {"daily"}, i % 2 == 0 ? kyiv : lviv);
        deliver();
        now += day_ms;
    }
    now += 3 * day_ms;
    deliver();  // what found no room in the budget lapses
    now += 10 * day_ms + 1;
    REQUIRE(forget().people == 1);
    sign_up("ada@example.org", {"daily"});
    CHECK(delivered().empty());
    now += 30 * day_ms;
    CHECK(forget().budgets == 0);  // hers now
    CHECK(store.tables.budget.size() == 1);
}

TEST_CASE_FIXTURE(Desk, "old network evidence goes, consent stays") {
    const TimeMs asked_at = now;
    subscribed("ada@example.org", {"daily"});
    const TimeMs confirmed_at = now;
    now = asked_at + 90 * day_ms - 1;
    CHECK(forget().events == 0);
    now = confirmed_at + 90 * day_ms + 1;
    const Purged done = forget();
    CHECK(done.requests == 1);
    CHECK(done.events == 3);  // asked, letter, confirmed
    for (const Event& event : events()) {
        CHECK(event.evidence.empty());
        CHECK(event.identity.find("ada@") != std::string::npos);
    }
    const Verdict verdict = verify_chain();
    CHECK_FALSE(verdict.problem);
    CHECK(verdict.truncated == 3);
    CHECK(store.tables.requests.begin()->second.ip == "203.0.113.0/24");
    CHECK(forget().events == 0);
}

TEST_CASE_FIXTURE(Desk, "letters go when they are through for thirty days") {
    subscribed("ada@example.org", {"daily"});
    sign_up("ada@example.org", {"weekly"});
    now += 31 * day_ms;
    pause(Scope::all);
    CHECK(forget().letters == 1);
    CHECK(store.tables.letters.size() == 1);
    CHECK(forget().letters == 0);
}

TEST_CASE_FIXTURE(Desk, "after a restore, who left since then has left again") {
    for (const char* who : {"stays@e.org", "leaves@e.org", "erased@e.org", "undoes@e.org"})
        subscribed(who, {"daily"});
    const auto backup = store.tables;
    now += hour_ms;
    leave(unsubscribe_link("leaves@e.org", "daily"));
    leave(unsubscribe_link("undoes@e.org", "daily"));
    store.withdrawals_journal.push_back(journal_line("undoes@e.org", "undo newsletter"));
    erase("erased@e.org");
    const Departures departures = journal();
    CHECK(departures.lines() == 5);  // the erasure has two

    store.tables = backup;
    store.withdrawals_journal.clear();
    Replayed replayed = replay(store, departures, rules);
    CHECK(replayed.left == 1);
    CHECK(replayed.erased == 1);
    CHECK(replayed.returned == 0);
    CHECK(status("stays@e.org", "daily") == "confirmed");
    CHECK(status("undoes@e.org", "daily") == "confirmed");
    CHECK(status("leaves@e.org", "daily") == "unsubscribed");
    CHECK_FALSE(person("erased@e.org"));
    CHECK_FALSE(verify_chain().problem);
    CHECK(replay(store, departures, rules) == Replayed{});
}

TEST_CASE_FIXTURE(Desk, "after a restore, no suppression that came later is lost") {
    subscribed("complains@e.org", {"daily", "weekly"});
    subscribed("lifted@e.org", {"daily"});
    suppress("lifted@e.org");
    suppress("both@e.org");
    sign_up("stranger@e.org", {"daily"});
    const std::string link = deliver().back().confirm_token;
    const auto backup = store.tables;
    now += hour_ms;
    complain("complains@e.org");
    CHECK(deny(link) == NotMe::done);
    suppress("nobody@e.org");
    lift("lifted@e.org");
    lift("both@e.org");
    suppress("both@e.org");
    subscribed("later@e.org", {"daily"});  // the backup does not know her
    erase("later@e.org", true);
    const auto all = suppressions();
    const Departures departures = journal();

    store.tables = backup;
    const Replayed replayed = replay(store, departures, rules);
    CHECK(replayed.suppressed == 5);  // erased and never_again are two
    CHECK(replayed.lifted == 1);
    CHECK(suppressions() == all);
    CHECK(status("complains@e.org", "daily") == "complained");
    CHECK(status("complains@e.org", "weekly") == "complained");
    CHECK(status("stranger@e.org", "daily") == "unsubscribed");
    CHECK(status("lifted@e.org", "daily") == "confirmed");
    CHECK_FALSE(verify_chain().problem);
    deliver();
    sign_up("nobody@e.org", {"daily"});
    sign_up("later@e.org", {"daily"});
    sign_up("lifted@e.org", {"weekly"});
    CHECK(delivered() == Addresses{"lifted@e.org"});
    CHECK(replay(store, departures, rules) == Replayed{});
}

TEST_CASE_FIXTURE(Desk, "after a restore, a token that was revoked later is dead") {
    const Seed seed{7};
    const std::string text = admin_token_text(seed);
    AdminTokenWish nightly;
    nightly.name = "nightly";
    nightly.scopes = {TokenScope::stats_read};
    AdminTokenWish other = nightly;
    other.name = "other";
    run(store, [&](Transaction& tx) {
        REQUIRE(create_admin_token(tx, "root", nightly, text, now).index() == 0);
        REQUIRE(create_admin_token(tx, "root", other, admin_token_text(Seed{8}), now).index() == 0);
    });
    const auto backup = store.tables;
    now += hour_ms;
    run(store, [&](Transaction& tx) { REQUIRE(revoke_admin_token(tx, "root", "nightly", keys, now)); });
    const Departures departures = journal();
    store.tables = backup;
    CHECK(replay(store, departures, rules).revoked == 1);
    look(store, [&](Reader& reader) {
        CHECK_FALSE(find_admin_token(reader, text, "127.0.0.1", now));
        CHECK(find_admin_token(reader, admin_token_text(Seed{8}), "127.0.0.1", now));
    });
    CHECK(replay(store, departures, rules) == Replayed{});
}

TEST_CASE_FIXTURE(Desk, "what the backup knows better than the journal stays") {
    subscribed("returns@e.org", {"daily"});
    now += hour_ms;
    leave(unsubscribe_link("returns@e.org", "daily"));
    now += day_ms;
    subscribed("returns@e.org", {"daily"});
    subscribed("reborn@e.org", {"daily"});
    now += hour_ms;
    erase("reborn@e.org");
    now += 31 * day_ms;
    subscribed("reborn@e.org", {"daily"});
    // the backup is of now: all of the journal is in it
    CHECK(replay(store, journal(), rules) == Replayed{});
    CHECK(status("returns@e.org", "daily") == "confirmed");
    CHECK(status("reborn@e.org", "daily") == "confirmed");
}

TEST_CASE_FIXTURE(Desk, "a withdrawal that was taken back after the backup is taken back again") {
    subscribed("ada@e.org", {"daily"});
    now += hour_ms;
    leave(unsubscribe_link("ada@e.org", "daily"));
    now += minute_ms;
    store.withdrawals_journal.push_back(journal_line("ada@e.org", "undo newsletter"));
    CHECK(replay(store, journal(), rules).returned == 1);
    CHECK(status("ada@e.org", "daily") == "confirmed");
    CHECK(count(EventKind::withdrawal_undone) == 1);
    CHECK_FALSE(verify_chain().problem);
}

TEST_CASE_FIXTURE(Desk, "a line of the journal that is none is not taken for one") {
    Departures departures;
    const std::string hash(64, 'a');
    CHECK(departures.add("2026-11-22T10:00:00.000Z 1 " + hash, keys));
    for (const std::string& line :
         {std::string(), "2026-11-22T10:00:00.000Z 9 " + hash, "yesterday 1 " + hash,
          "2026-11-22T10:00:00.000Z 1 " + hash + " suppressed perhaps",
          "2026-11-22T10:00:00.000Z 1 " + hash + " praised admin", "2026-11-22T10:00:00.000Z 1 " + hash + " ",
          std::string("2026-11-22T10:00:00.000Z 1 abc"), "2026-11-22T10:00:00.000Z one " + hash}) {
        CHECK_FALSE(departures.add(line, keys));
    }
}

TEST_CASE_FIXTURE(Desk, "an administrator's suppression stops letters until it is lifted") {
    CHECK(suppress("ada@example.org"));
    CHECK_FALSE(suppress("ada@example.org"));
    sign_up("ada@example.org", {"daily"});
    CHECK(delivered().empty());
    CHECK(lift("ada@example.org") == std::vector{SuppressionReason::admin});
    CHECK(lift("ada@example.org").empty());
    sign_up("ada@example.org", {"daily"});
    CHECK(delivered() == Addresses{"ada@example.org"});
    CHECK(count(EventKind::suppressed) == 1);
    CHECK(count(EventKind::unsuppressed) == 1);
    CHECK_FALSE(verify_chain().problem);
}

TEST_CASE_FIXTURE(Desk, "lifting takes everything but what refuses imports") {
    const auto token = subscribed("ada@example.org", {"daily"});
    CHECK(deny(token) == NotMe::done);
    erase("ada@example.org");
    CHECK(lift("ada@example.org") == std::vector{SuppressionReason::not_me});
    REQUIRE(store.tables.suppressions.size() == 1);
    CHECK(store.tables.suppressions.front().reason == SuppressionReason::erased);
}

TEST_CASE_FIXTURE(Desk, "evidence confirms what waits for her, and nothing that she left") {
    sign_up("ada@example.org", {"daily", "weekly"});
    auto outcome = confirm_for("ada@example.org", id_of("weekly"));
    CHECK(outcome.newsletters == std::vector{id_of("weekly")});
    CHECK(status("ada@example.org", "daily") == "pending");
    CHECK(delivered() == Addresses{"ada@example.org"});  // still asks for the other one
    outcome = confirm_for("ada@example.org");
    CHECK(outcome.newsletters == std::vector{id_of("daily")});
    CHECK(confirm_for("ada@example.org").kind == Evidenced::nothing_pending);

    now += minute_ms;
    leave(unsubscribe_link("ada@example.org", "daily"));
    CHECK(confirm_for("ada@example.org").kind == Evidenced::nothing_pending);
    CHECK(status("ada@example.org", "daily") == "unsubscribed");
    now += minute_ms;
    sign_up("ada@example.org", {"daily"});
    CHECK(confirm_for("ada@example.org").kind == Evidenced::confirmed);
    CHECK(status("ada@example.org", "daily") == "confirmed");
    CHECK(suppress("ada@example.org"));
    CHECK(confirm_for("ada@example.org").kind == Evidenced::suppressed);
    CHECK_FALSE(verify_chain().problem);
}

TEST_CASE_FIXTURE(Desk, "the funnel counts each signup once, and never more of it later") {
    subscribed("ada@example.org", {"daily"});
    sign_up("bob@example.org", {"daily", "weekly"});
    sign_up("bob@example.org", {"daily"});
    deliver();
    sign_up("refused@example.org", {"daily"});
    for (const LeasedLetter& one : lease_all()) report(one, {Result::Kind::refused, "550 no"});
    SignupForm bot = form("bot@example.org", {"daily"});
    bot.website = "x";
    submit(bot);
    now += hour_ms;
    leave(unsubscribe_link("ada@example.org", "daily"));
    leave(unsubscribe_link("bob@example.org", "weekly"));  // never confirmed

    const Funnel daily = funnel_of("daily");
    CHECK(daily.signups == 3);
    CHECK(daily.letters == 2);
    CHECK(daily.confirmed == 1);
    CHECK(daily.bounced == 1);
    CHECK(daily.left == 1);
    CHECK(funnel_of("weekly").signups == 1);
    CHECK(funnel_of("weekly").left == 0);
    now += 31 * day_ms;
    CHECK(funnel_of("daily").signups == 0);
}

TEST_CASE_FIXTURE(Desk, "only pages of our own origins have names in the funnel") {
    for (const auto& [who, page] : {std::pair{"a@e.org", "https://news.example/a"},
                                    {"b@e.org", "https://news.example.evil.org/a"},
                                    {"c@e.org", "https://evil.org/https://news.example/a"},
                                    {"d@e.org", ""}}) {
        SignupForm one = form(who, {"daily"});
        one.source = page;
        submit(one);
    }
    StatsQuery query;
    query.by = StatsQuery::By::source;
    query.origins = {"https://news.example"};
    const auto rows = funnel(store, query).rows;
    CHECK(rows.size() == 3);
    CHECK(rows.at("https://news.example/a").signups == 1);
    CHECK(rows.at("other").signups == 2);
    CHECK(rows.at("").signups == 1);
}

TEST_CASE("a reason says something, in one line, and names nobody") {
    CHECK_FALSE(reason_problem("her lawyer wrote, file 12"));
    CHECK_FALSE(reason_problem("просила телефоном"));
    for (const std::string& text : {std::string(), std::string("  "), std::string("ada@example.org"),
                                    std::string("two\nlines"), std::string("\xff"), std::string(201, 'x')}) {
        CHECK(reason_problem(text));
    }
}

TEST_SUITE("acts of administrators") {
    TEST_CASE("a newsletter is changed as a whole or not at all") {
        World world;
        const auto change = [&](const desk::NewsletterChange& wanted) {
            desk::NewsletterOutcome outcome;
            run(world.store, [&](Transaction& tx) {
                outcome = desk::change_newsletter(tx, "root", "daily", wanted, {}, world.now);
            });
            return outcome;
        };
        using Kind = desk::NewsletterOutcome::Kind;
        CHECK(change({"weekly", {}, {{"name", "", "New"}}}).kind == Kind::taken);
        CHECK(change({"Fresh", {}, {{"name", "", "New"}}}).at == "slug");
        CHECK(change({"fresh", false, {{"name", "", "New"}, {"colour", "", "red"}}}).at == "colour");
        look(world.store, [](Reader& reader) {
            const Newsletter daily = *reader.newsletters()->find("daily");
            CHECK(daily.open);
            CHECK(daily.name("en") == "The daily");
        });
        CHECK(world.store.tables.admin_acts.empty());
        CHECK(change({"", true, {}}).kind == Kind::done);
        CHECK(world.store.tables.admin_acts.empty());  // it was open already
        const auto done = change({"fresh", false, {{"name", "", "New"}}});
        CHECK(done.newsletter.slug == "fresh");
        CHECK(done.newsletter.aliases == std::vector<std::string>{"daily"});
        CHECK(world.store.tables.admin_acts.size() == 3);
    }

    TEST_CASE("a pattern is looked for in address, name and id") {
        Person person;
        person.id = 17;
        person.addr_key = "ada.lovelace@example.org";
        person.address = "Ada.Lovelace@example.org";
        person.name = "Countess";
        for (const char* hit : {"ada", "LOVE", "ada*example", "count", "17", "*"})
            CHECK(desk::Pattern(hit).fits(person));
        for (const char* miss : {"bob", "example*ada", "1", "170"})
            CHECK_FALSE(desk::Pattern(miss).fits(person));
    }

    TEST_CASE("evidence is words, and not too many") {
        CHECK_FALSE(desk::evidence_problem("signed card of 3 May"));
        CHECK(desk::evidence_problem(" \n"));
        CHECK(desk::evidence_problem("\xFF"));
        CHECK_FALSE(desk::evidence_problem(std::string(1000, 'x')));
        CHECK(desk::evidence_problem(std::string(1001, 'x')));
    }
}
