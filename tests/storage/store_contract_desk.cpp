// What every Store promises to the administrator's desk.
#include <doctest/doctest.h>

#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

namespace {

std::vector<Id> ids(const std::vector<Letter>& letters) {
    std::vector<Id> out;
    for (const Letter& one : letters) out.push_back(one.id);
    return out;
}

}  // namespace

TEST_SUITE_BEGIN("store contract, for the desk");

TEST_CASE_TEMPLATE("letters still to be sent come in the order of their turn, after any of them", S,
                   ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    std::vector<Id> made;
    run(s.store, [&](Transaction& t) {
        made.clear();
        Letter first = t.letters_of(person).front();
        first.state = LetterState::sent;
        t.update(first);
        for (const TimeMs due : {3000, 2000, 2000, 1000}) {
            Letter l = a_letter(t.new_id(), person, newsletter);
            l.kind = LetterKind::already_subscribed;
            l.due_at = due;
            t.add(l);
            made.push_back(l.id);
        }
    });
    const std::vector<Id> in_order{made[3], made[1], made[2], made[0]};
    CHECK(ask(s.store, [](Reader& r) { return ids(r.open_letters(-1, 0, 10)); }) == in_order);
    CHECK(ask(s.store, [&](Reader& r) { return ids(r.open_letters(2000, made[1], 1)); }) ==
          std::vector<Id>{made[2]});
    CHECK(ask(s.store, [&](Reader& r) { return ids(r.open_letters(3000, made[0], 10)); }).empty());
}

TEST_CASE_TEMPLATE("a pause is there once, since it was made first, until it is removed", S, ALL_STORES) {
    S s;
    using Scope = MailPause::Scope;
    run(s.store, [](Transaction& t) {
        t.add(MailPause{Scope::domain, "example.org", 5});
        t.add(MailPause{Scope::domain, "example.org", 9});
        t.add(MailPause{Scope::all, "", 7});
    });
    const auto pauses = ask(s.store, [](Reader& r) { return r.mail_pauses(); });
    REQUIRE(pauses.size() == 2);
    CHECK(pauses[0].scope == Scope::all);
    CHECK(pauses[1].name == "example.org");
    CHECK(pauses[1].since == 5);
    run(s.store, [](Transaction& t) { t.remove(MailPause{Scope::domain, "example.org", 0}); });
    CHECK(ask(s.store, [](Reader& r) { return r.mail_pauses().size(); }) == 1);
}

TEST_CASE_TEMPLATE("people come by id", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id a = sign_up(s.store, "a@example.org", newsletter);
    const Id b = sign_up(s.store, "b@example.org", newsletter);
    CHECK(ask(s.store, [](Reader& r) { return r.people(0, 1).front().id; }) == a);
    CHECK(ask(s.store, [&](Reader& r) { return r.people(a, 10).front().id; }) == b);
    CHECK(ask(s.store, [&](Reader& r) { return r.people(b, 10).size(); }) == 0);
}

TEST_CASE_TEMPLATE("who never proved anything is found, and nobody else", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id pending = sign_up(s.store, "pending@example.org", newsletter);
    const Id confirmed = sign_up(s.store, "confirmed@example.org", newsletter);
    const Id refused = sign_up(s.store, "refused@example.org", newsletter);
    const Id proven = sign_up(s.store, "proven@example.org", newsletter);
    run(s.store, [&](Transaction& t) {
        const auto set = [&](Id person, SubscriptionStatus status) {
            Subscription one = t.subscriptions_of(person).front();
            one.status = status;
            t.update(one);
        };
        set(confirmed, SubscriptionStatus::confirmed);
        set(refused, SubscriptionStatus::undeliverable);
        Person p = *t.person(proven);
        p.proven_at = 2'000;
        t.update(p);
    });
    const auto found = [&](TimeMs before, Id after, std::size_t limit) {
        return ask(s.store, [=](Reader& r) { return r.unproven_people(before, after, limit); });
    };
    CHECK(found(1'001, 0, 10) == std::vector<Id>{pending, refused});
    CHECK(found(1'000, 0, 10).empty());
    CHECK(found(1'001, pending, 10) == std::vector<Id>{refused});
    CHECK(found(1'001, 0, 1) == std::vector<Id>{pending});
}

TEST_CASE_TEMPLATE("evidence is forgotten beside the chain, and only evidence", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    sign_up(s.store, "b@example.org", newsletter);
    const auto old = [&](TimeMs before, std::int64_t after) {
        return ask(s.store, [=](Reader& r) { return r.events_with_evidence(before, after, 10); });
    };
    CHECK(old(1'001, 0) == std::vector<std::int64_t>{1, 2});
    CHECK(old(1'001, 1) == std::vector<std::int64_t>{2});
    CHECK(old(1'000, 0).empty());
    run(s.store, [](Transaction& t) { t.forget_evidence(1); });
    CHECK(old(1'001, 0) == std::vector<std::int64_t>{2});
    const Event event = ask(s.store, [](Reader& r) { return r.events(0, 1).front(); });
    CHECK(event.evidence.empty());
    CHECK_FALSE(event.evidence_nonce);
    CHECK(event.identity_nonce);
    CHECK(event.identity.find("oksana") != std::string::npos);

    const auto requests = [&](TimeMs before, Id after_person, Id after) {
        return ask(s.store,
                   [=](Reader& r) { return r.requests_with_evidence(before, after_person, after, 10); });
    };
    CHECK(requests(1'000, 0, 0).empty());
    const auto both = requests(1'001, 0, 0);
    REQUIRE(both.size() == 2);
    CHECK(both[0].person == person);
    CHECK(requests(1'001, both[0].person, both[0].id).size() == 1);
    run(s.store, [&](Transaction& t) { t.forget_evidence(both[0]); });
    CHECK(requests(1'001, 0, 0).size() == 1);
    const Request request = ask(s.store, [&](Reader& r) { return r.requests_of(person).front(); });
    CHECK(request.ip == "192.0.2.0/24");
    CHECK(request.user_agent.empty());
    CHECK(request.source == "https://news.example/article");
}

TEST_CASE_TEMPLATE("letters that are through are found by age, and can be removed", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "a@example.org", newsletter);
    const Id other = sign_up(s.store, "b@example.org", newsletter);
    Id sent = 0;
    Id queued = 0;
    run(s.store, [&](Transaction& t) {
        Letter l = t.letters_of(person).front();
        l.state = LetterState::sent;
        t.update(l);
        sent = l.id;
        queued = t.letters_of(other).front().id;
    });
    const auto found = [&](TimeMs before, Id after) {
        return ask(s.store, [=](Reader& r) { return r.finished_letters(before, after, 10); });
    };
    CHECK(found(1'001, 0) == std::vector<Id>{sent});
    CHECK(found(1'001, sent).empty());
    CHECK(found(1'000, 0).empty());
    CHECK(ask(s.store, [](Reader& r) { return r.last_letter_before(1'001); }) == queued);
    CHECK(ask(s.store, [](Reader& r) { return r.last_letter_before(1'000); }) == 0);
    run(s.store, [&](Transaction& t) { t.remove_letter(sent); });
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.letter(sent); }));
    CHECK(ask(s.store, [&](Reader& r) { return r.letter(queued).has_value(); }));
}

TEST_CASE_TEMPLATE("counts of wrong codes go up to an id, of letters and of requests", S, ALL_STORES) {
    S s;
    run(s.store, [](Transaction& t) {
        for (const Id id : {5, -6, 7, -8}) t.set_wrong_codes(id, 1);
    });
    std::size_t removed = 0;
    run(s.store, [&](Transaction& t) { removed = t.remove_wrong_codes(6); });
    CHECK(removed == 2);
    CHECK(ask(s.store, [](Reader& r) { return r.wrong_codes(5) + r.wrong_codes(-6); }) == 0);
    CHECK(ask(s.store, [](Reader& r) { return r.wrong_codes(7) + r.wrong_codes(-8); }) == 2);
}

TEST_CASE_TEMPLATE("the budget of addresses that nobody has is listed by its keys", S, ALL_STORES) {
    S s;
    run(s.store, [](Transaction& t) {
        for (const char* key : {"b@example.org", "a@example.org"})
            t.set_budget(key, std::vector<BudgetEntry>{{1, 2}});
    });
    using Keys = std::vector<std::string>;
    CHECK(ask(s.store, [](Reader& r) { return r.budget_keys("", 10); }) ==
          Keys{"a@example.org", "b@example.org"});
    CHECK(ask(s.store, [](Reader& r) { return r.budget_keys("a@example.org", 10); }) ==
          Keys{"b@example.org"});
    sign_up(s.store, "b@example.org", make_newsletter(s.store, "morning"));
    CHECK(ask(s.store, [](Reader& r) { return r.budget_keys("", 10); }) == Keys{"a@example.org"});
}

TEST_CASE_TEMPLATE("suppressions can be paged through", S, ALL_STORES) {
    S s;
    Suppression one{Digest{1}, 1, SuppressionReason::admin, 5};
    Suppression two{Digest{1}, 1, SuppressionReason::erased, 6};
    Suppression three{Digest{2}, 1, SuppressionReason::complaint, 4};
    run(s.store, [&](Transaction& t) {
        for (const auto& each : {three, two, one}) t.add(each);
    });
    const auto all = ask(s.store, [](Reader& r) { return r.all_suppressions(nullptr, 10); });
    REQUIRE(all.size() == 3);
    CHECK(all[0].reason == SuppressionReason::admin);
    CHECK(all[1].reason == SuppressionReason::erased);
    CHECK(all[2].key == three.key);
    CHECK(all[2].at == 4);
    CHECK(ask(s.store, [&](Reader& r) { return r.all_suppressions(&all[0], 1).front().reason; }) ==
          SuppressionReason::erased);
    CHECK(ask(s.store, [&](Reader& r) { return r.all_suppressions(&all[2], 1).size(); }) == 0);
}

TEST_CASE_TEMPLATE("acts of administrators come newest first", S, ALL_STORES) {
    S s;
    std::vector<Id> made;
    run(s.store, [&](Transaction& t) {
        made.clear();
        for (const char* what : {"first", "second", "third"}) {
            const Id id = t.new_id();
            t.add(AdminAct{id, 5, "root", what, "{}"});
            made.push_back(id);
        }
    });
    const auto two = ask(s.store, [](Reader& r) { return r.admin_acts(0, 2); });
    REQUIRE(two.size() == 2);
    CHECK(two[0].what == "third");
    CHECK(two[1].who == "root");
    const auto rest = ask(s.store, [&](Reader& r) { return r.admin_acts(made[1], 10); });
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].what == "first");
}

TEST_CASE_TEMPLATE("tokens are found by their digest, and end", S, ALL_STORES) {
    S s;
    Id id = 0;
    run(s.store, [&](Transaction& t) {
        AdminToken token;
        token.id = id = t.new_id();
        token.name = "nightly";
        token.digest = Digest{7};
        token.scopes = {TokenScope::stats_read, TokenScope::newsletters_read};
        token.networks = {"203.0.113.0/24", "2001:db8::/32"};
        token.created_at = 5;
        token.expires_at = 9;
        t.add(token);
        token.id = t.new_id();
        token.digest = Digest{8};
        token.networks.clear();
        token.expires_at.reset();
        t.add(token);
    });
    const auto found = ask(s.store, [](Reader& r) { return r.admin_token(Digest{7}); });
    REQUIRE(found);
    CHECK(found->id == id);
    CHECK(found->name == "nightly");
    CHECK(found->digest == Digest{7});
    CHECK(found->scopes == std::vector<TokenScope>{TokenScope::stats_read, TokenScope::newsletters_read});
    CHECK(found->networks == std::vector<std::string>{"203.0.113.0/24", "2001:db8::/32"});
    CHECK(found->created_at == 5);
    CHECK(found->expires_at == 9);
    CHECK_FALSE(found->revoked_at);
    CHECK_FALSE(found->last_used_at);
    CHECK_FALSE(ask(s.store, [](Reader& r) { return r.admin_token(Digest{9}); }));
    run(s.store, [&](Transaction& t) {
        AdminToken token = t.admin_tokens().front();
        token.revoked_at = 11;
        token.last_used_at = 10;
        token.name = "is never changed";
        t.update(token);
    });
    const auto all = ask(s.store, [](Reader& r) { return r.admin_tokens(); });
    REQUIRE(all.size() == 2);
    CHECK(all[0].revoked_at == 11);
    CHECK(all[0].last_used_at == 10);
    CHECK(all[0].name == "nightly");
    CHECK(all[1].networks.empty());
    CHECK_FALSE(all[1].expires_at);
    CHECK_FALSE(all[1].revoked_at);
}
