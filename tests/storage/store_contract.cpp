// What every Store promises to service/, whatever it is made of.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

TEST_SUITE_BEGIN("store contract");

TEST_CASE_TEMPLATE("a unit of work is kept whole, and answered", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    CHECK(ask(s.store, [&](Reader& r) { return r.person(person)->address; }) == "oksana@example.org");
    CHECK(ask(s.store, [&](Reader& r) { return r.subscriptions_of(person).size(); }) == 1);
    CHECK(ask(s.store, [&](Reader& r) { return r.letters_of(person).size(); }) == 1);
    CHECK(ask(s.store, [&](Reader& r) { return r.requests_of(person).size(); }) == 1);
    CHECK(ask(s.store, [&](Reader& r) { return r.ledger_head().seq; }) == 1);
}

TEST_CASE_TEMPLATE("a unit that throws leaves nothing, and its exception is handed over", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    Id person = 0;
    auto result = submit(s.store, [&](Transaction& t) {
                      person = sign_up(t, "oksana@example.org", newsletter);
                      t.journal_withdrawal("a line");
                      Newsletter n = *t.newsletters()->find("morning");
                      n.slug = "evening";
                      t.update(n);
                      CHECK(t.newsletters()->find("evening") != nullptr);
                      throw std::domain_error("no");
                  }).get();
    CHECK(result.commit == Commit::failed);
    REQUIRE(result.error);
    CHECK_THROWS_AS(std::rethrow_exception(result.error), std::domain_error);
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.person(person); }));
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.person_by_key("oksana@example.org"); }));
    CHECK(ask(s.store, [&](Reader& r) { return r.ledger_head().seq; }) == 0);
    CHECK(ask(s.store, [&](Reader& r) { return r.events_of(person).size(); }) == 0);
    CHECK(ask(s.store, [&](Reader& r) { return r.newsletters()->find("evening") == nullptr; }));
    CHECK(s.journal().empty());

    // and the next one starts from what was kept
    run(s.store, [&](Transaction& t) {
        CHECK(t.newsletters()->find("evening") == nullptr);
        CHECK(t.new_id() > person);
        CHECK(t.ledger_head().hash == Digest{});
    });
}

TEST_CASE_TEMPLATE("ids ascend and are never given out again", S, ALL_STORES) {
    S s;
    Id first = 0;
    Id second = 0;
    Id lost = 0;
    run(s.store, [&](Transaction& t) {
        first = t.new_id();
        second = t.new_id();
    });
    CHECK(first > 0);
    CHECK(second > first);
    submit(s.store, [&](Transaction& t) {
        lost = t.new_id();
        throw std::domain_error("no");
    }).get();
    CHECK(lost > second);
    const Id newsletter = make_newsletter(s.store, "morning");
    CHECK(newsletter > lost);
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    run(s.store, [&](Transaction& t) { t.erase_person(person); });
    Id last = 0;
    run(s.store, [&](Transaction& t) { last = t.new_id(); });
    CHECK(last > person);
    run(s.store, [&](Transaction& t) { CHECK(t.new_id() == last + 1); });
}

TEST_CASE_TEMPLATE("a newsletter comes back as it was kept", S, ALL_STORES) {
    S s;
    Newsletter n;
    run(s.store, [&](Transaction& t) {
        CHECK(t.newsletters()->all().empty());
        n.id = t.new_id();
        n.slug = "morning";
        n.aliases = {"zebra", "apple"};
        n.open = false;
        n.settings = {{{"name", ""}, "Morning"}, {{"name", "uk"}, "Ранок"}, {{"from", ""}, "a@b.example"}};
        t.add(n);
        CHECK(t.newsletters()->find("zebra")->id == n.id);  // what a unit wrote it also sees
    });
    const auto kept = ask(s.store, [](Reader& r) { return r.newsletters(); });
    REQUIRE(kept->all().size() == 1);
    const Newsletter& found = kept->all()[0];
    CHECK(found.id == n.id);
    CHECK(found.slug == "morning");
    CHECK(found.aliases == std::vector<std::string>{"zebra", "apple"});
    CHECK_FALSE(found.open);
    CHECK(found.settings == n.settings);

    run(s.store, [&](Transaction& t) {
        Newsletter changed = found;
        changed.aliases.push_back("morning");
        changed.slug = "dawn";
        changed.open = true;
        changed.settings.erase({"name", "uk"});
        t.update(changed);
    });
    const auto renamed = ask(s.store, [](Reader& r) { return r.newsletters(); });
    CHECK(renamed->find("dawn")->aliases == std::vector<std::string>{"zebra", "apple", "morning"});
    CHECK(renamed->find("morning") == renamed->find("dawn"));
    CHECK(renamed->find("dawn")->open);
    CHECK(renamed->find("dawn")->settings.size() == 2);
}

TEST_CASE_TEMPLATE("newsletters stand in the order in which they were made, and no slug is taken twice", S,
                   ALL_STORES) {
    S s;
    const Id b = make_newsletter(s.store, "b");
    const Id a = make_newsletter(s.store, "a");
    const auto all = ask(s.store, [](Reader& r) { return r.newsletters(); });
    REQUIRE(all->all().size() == 2);
    CHECK(all->all()[0].id == b);
    run(s.store, [&](Transaction& t) {
        Newsletter n = *t.newsletters()->find(a);
        n.aliases = {"old"};
        t.update(n);
    });
    for (const std::string taken : {"a", "b", "old"}) {
        CAPTURE(taken);
        CHECK_THROWS_AS(make_newsletter(s.store, taken), std::logic_error);
    }
    CHECK_THROWS_AS(run(s.store,
                        [&](Transaction& t) {
                            Newsletter n = *t.newsletters()->find(b);
                            n.slug = "old";
                            t.update(n);
                        }),
                    std::logic_error);
}

TEST_CASE_TEMPLATE("a wording is kept once, for ever", S, ALL_STORES) {
    S s;
    const Wording w{"0123456789abcdef0123456789abcdef", 5, "uk", "Так, надсилайте.",
                    "https://news.example/privacy"};
    run(s.store, [&](Transaction& t) {
        t.keep(w);
        t.keep(w);
    });
    run(s.store, [&](Transaction& t) { t.keep(w); });
    const auto found = ask(s.store, [&](Reader& r) { return r.wording(w.id); });
    REQUIRE(found);
    CHECK(found->newsletter == 5);
    CHECK(found->locale == "uk");
    CHECK(found->text == w.text);
    CHECK(found->privacy_url == w.privacy_url);
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.wording("another"); }));
}

TEST_CASE_TEMPLATE("a person comes back as she was kept", S, ALL_STORES) {
    S s;
    Person p;
    run(s.store, [&](Transaction& t) {
        p.id = t.new_id();
        p.addr_key = "оксана+news@xn--80a1acny.xn--j1amh";
        p.abuse_key = "оксана@xn--80a1acny.xn--j1amh";
        p.address = "Оксана+news@пошта.укр";
        p.envelope = "Оксана+news@xn--80a1acny.xn--j1amh";
        p.needs_smtputf8 = true;
        p.name = "Оксана \"О'Коннор\"; DROP TABLE person; --";
        p.locale = "uk";
        p.created_at = 1'795'000'000'123;
        p.generation = 65'535;
        t.add(p);
    });
    const auto same = [](const Person& a, const Person& b) {
        CHECK(a.id == b.id);
        CHECK(a.addr_key == b.addr_key);
        CHECK(a.abuse_key == b.abuse_key);
        CHECK(a.address == b.address);
        CHECK(a.envelope == b.envelope);
        CHECK(a.needs_smtputf8 == b.needs_smtputf8);
        CHECK(a.name == b.name);
        CHECK(a.locale == b.locale);
        CHECK(a.created_at == b.created_at);
        CHECK(a.proven_at == b.proven_at);
        CHECK(a.generation == b.generation);
    };
    same(*ask(s.store, [&](Reader& r) { return r.person(p.id); }), p);
    same(*ask(s.store, [&](Reader& r) { return r.person_by_key(p.addr_key); }), p);

    Person moved = p;
    moved.addr_key = moved.address = moved.abuse_key = moved.envelope = "new@example.org";
    moved.needs_smtputf8 = false;
    moved.proven_at = 7;
    moved.generation = 1;
    run(s.store, [&](Transaction& t) { t.update(moved); });
    same(*ask(s.store, [&](Reader& r) { return r.person_by_key("new@example.org"); }), moved);
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.person_by_key(p.addr_key); }));

    // two people never share an identity, and nobody is changed who is not there
    CHECK_THROWS(run(s.store, [&](Transaction& t) { t.add(a_person(t.new_id(), "new@example.org")); }));
    CHECK_THROWS(run(s.store, [&](Transaction& t) { t.update(a_person(t.new_id(), "x@example.org")); }));
}

TEST_CASE_TEMPLATE("a subscription comes back as it was kept", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id other = make_newsletter(s.store, "evening");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    Subscription sub;
    run(s.store, [&](Transaction& t) {
        sub = a_subscription(t.new_id(), person, other);
        sub.fields = R"({"city":"Київ"})";
        t.add(sub);
        sub.status = SubscriptionStatus::complained;
        sub.signed_up_at = 2;
        sub.confirmed_at = 3;
        sub.unsubscribed_at = 4;
        sub.paused_until = 5;
        sub.source = "s";
        sub.form = "f";
        t.update(sub);
    });
    const auto found = ask(s.store, [&](Reader& r) { return r.subscription(sub.id); });
    REQUIRE(found);
    CHECK(found->person == person);
    CHECK(found->newsletter == other);
    CHECK(found->status == SubscriptionStatus::complained);
    CHECK(found->signed_up_at == 2);
    CHECK(found->confirmed_at == 3);
    CHECK(found->unsubscribed_at == 4);
    CHECK(found->paused_until == 5);
    CHECK(found->source == "s");
    CHECK(found->form == "f");
    CHECK(found->fields == sub.fields);
    const auto all = ask(s.store, [&](Reader& r) { return r.subscriptions_of(person); });
    REQUIRE(all.size() == 2);
    CHECK(all[0].newsletter == newsletter);
    CHECK_FALSE(all[0].confirmed_at);

    // one of a kind; of a person and a newsletter that are there
    const auto refused = [&](Id a, Id b) {
        CHECK_THROWS(run(s.store, [&](Transaction& t) { t.add(a_subscription(t.new_id(), a, b)); }));
    };
    refused(person, newsletter);
    refused(999'999, newsletter);
    refused(person, 999'999);
}

TEST_CASE_TEMPLATE("pauses end in the order of their dates, and only those of the paused", S, ALL_STORES) {
    S s;
    const Id person = sign_up(s.store, "oksana@example.org", make_newsletter(s.store, "first"));
    const auto paused = [&](const char* slug, SubscriptionStatus status, TimeMs until) {
        const Id newsletter = make_newsletter(s.store, slug);
        Id id = 0;
        run(s.store, [&](Transaction& t) {
            Subscription sub = a_subscription(t.new_id(), person, newsletter);
            sub.status = status;
            sub.paused_until = until;
            t.add(sub);
            id = sub.id;
        });
        return id;
    };
    const Id late = paused("late", SubscriptionStatus::paused, 200);
    const Id early = paused("early", SubscriptionStatus::paused, 100);
    paused("left", SubscriptionStatus::unsubscribed, 100);
    const auto ended = [&](TimeMs now, std::size_t limit) {
        std::vector<Id> ids;
        for (const auto& one : ask(s.store, [&](Reader& r) { return r.ended_pauses(now, limit); }))
            ids.push_back(one.id);
        return ids;
    };
    CHECK(ended(99, 10).empty());
    CHECK(ended(100, 10) == std::vector{early});
    CHECK(ended(200, 10) == std::vector{early, late});
    CHECK(ended(200, 1) == std::vector{early});
}

TEST_CASE_TEMPLATE("a change of address comes back as it was kept, and goes with its person", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    AddressChange change;
    run(s.store, [&](Transaction& t) {
        change.id = t.new_id();
        change.person = person;
        change.asked_at = 1;
        change.from = {"oksana@example.org", "o@a", "Oksana@example.org", "oksana@e", false, 7, 2};
        change.to = {"нова@пошта.укр", "n@a", "Нова@пошта.укр", "нова@xn", true, std::nullopt, std::nullopt};
        t.add(change);
    });
    const auto kept = [&] { return ask(s.store, [&](Reader& r) { return r.address_change(change.id); }); };
    REQUIRE(kept());
    CHECK(kept()->person == person);
    CHECK(kept()->asked_at == 1);
    CHECK(kept()->from.addr_key == change.from.addr_key);
    CHECK(kept()->from.letter == 7);
    CHECK(kept()->from.confirmed_at == 2);
    CHECK(kept()->to.abuse_key == "n@a");
    CHECK(kept()->to.address == change.to.address);
    CHECK(kept()->to.envelope == change.to.envelope);
    CHECK(kept()->to.needs_smtputf8);
    CHECK_FALSE(kept()->to.letter);
    CHECK_FALSE(kept()->done_at);
    change.to.letter = 8;
    change.to.confirmed_at = 3;
    change.done_at = 4;
    change.ended_at = 5;
    run(s.store, [&](Transaction& t) { t.update(change); });
    CHECK(kept()->to.letter == 8);
    CHECK(kept()->to.confirmed_at == 3);
    CHECK(kept()->done_at == 4);
    CHECK(kept()->ended_at == 5);
    CHECK(ask(s.store, [&](Reader& r) { return r.address_changes_of(person); }).size() == 1);
    CHECK_THROWS(run(s.store, [&](Transaction& t) {
        change.id = 999'999;
        t.update(change);
    }));
    run(s.store, [&](Transaction& t) { t.erase_person(person); });
    CHECK(ask(s.store, [&](Reader& r) { return r.address_changes_of(person); }).empty());
}

TEST_CASE_TEMPLATE("wrong codes are counted by letter, and forgotten with the person", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    const Id letter = ask(s.store, [&](Reader& r) { return r.letters_of(person).at(0).id; });
    const Id request = ask(s.store, [&](Reader& r) { return r.requests_of(person).at(0).id; });
    const auto wrong = [&](Id of) { return ask(s.store, [&](Reader& r) { return r.wrong_codes(of); }); };
    CHECK(wrong(letter) == 0);
    run(s.store, [&](Transaction& t) {
        t.set_wrong_codes(letter, 1);
        t.set_wrong_codes(letter, 2);
        t.set_wrong_codes(-request, 5);
        t.set_wrong_codes(999'999, 1);
    });
    CHECK(wrong(letter) == 2);
    CHECK(wrong(-request) == 5);
    run(s.store, [&](Transaction& t) { t.erase_person(person); });
    CHECK(wrong(letter) == 0);
    CHECK(wrong(-request) == 0);
    CHECK(wrong(999'999) == 1);
}

TEST_CASE_TEMPLATE("a bounce score is kept by person, and forgotten with her", S, ALL_STORES) {
    S s;
    const Id person = sign_up(s.store, "oksana@example.org", make_newsletter(s.store, "morning"));
    const auto score = [&] { return ask(s.store, [&](Reader& r) { return r.bounce_score(person); }); };
    CHECK(score().person == person);
    CHECK(score().points == 0);
    run(s.store, [&](Transaction& t) { t.set_bounce_score({person, 1, 5, 6}); });
    run(s.store, [&](Transaction& t) { t.set_bounce_score({person, 2, 7, 8}); });
    CHECK(score().points == 2);
    CHECK(score().scored_at == 7);
    CHECK(score().struck_at == 8);
    run(s.store, [&](Transaction& t) { t.erase_person(person); });
    CHECK(score().points == 0);
    CHECK(score().struck_at == 0);
}

TEST_CASE_TEMPLATE("requests come back as they were kept, by person, by letter, and those that wait", S,
                   ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    const Id letter = ask(s.store, [&](Reader& r) { return r.letters_of(person).at(0).id; });
    Request late;
    Request early;
    run(s.store, [&](Transaction& t) {
        late = a_request(t.new_id(), person, newsletter);
        late.asked_at = 9'000;
        late.wishes = {{newsletter, "aa"}, {77, ""}, {78, "bb"}};
        late.name = "O";
        late.fields = "{}";
        late.browser = "ab12";
        t.add(late);
        early = a_request(t.new_id(), person, newsletter);
        early.asked_at = 8'000;
        early.wishes = {};
        t.add(early);
    });
    const auto waiting = ask(s.store, [](Reader& r) { return r.waiting_requests(9'001, 10); });
    REQUIRE(waiting.size() == 2);
    CHECK(waiting[0].id == early.id);
    CHECK(waiting[0].wishes.empty());
    const Request& r = waiting[1];
    CHECK(r.id == late.id);
    CHECK(r.person == person);
    CHECK(r.state == RequestState::open);
    REQUIRE(r.wishes.size() == 3);
    CHECK(r.wishes[0].wording == "aa");
    CHECK(r.wishes[1].newsletter == 77);
    CHECK(r.wishes[1].wording.empty());
    CHECK(r.wishes[2].newsletter == 78);
    CHECK(r.wishes[2].wording == "bb");
    CHECK(r.locale == late.locale);
    CHECK(r.name == "O");
    CHECK(r.fields == "{}");
    CHECK(r.source == late.source);
    CHECK(r.form == late.form);
    CHECK(r.ip == late.ip);
    CHECK(r.user_agent == late.user_agent);
    CHECK(r.network == late.network);
    CHECK(r.browser == "ab12");
    CHECK_FALSE(r.letter);
    CHECK(ask(s.store, [](Reader& x) { return x.waiting_requests(9'000, 10); }).size() == 1);
    CHECK(ask(s.store, [](Reader& x) { return x.waiting_requests(9'001, 1); }).at(0).id == early.id);

    run(s.store, [&](Transaction& t) {
        early.state = RequestState::lapsed;
        early.name = "never changes";
        t.update(early);
        late.letter = letter;
        t.update(late);
    });
    CHECK(ask(s.store, [](Reader& x) { return x.waiting_requests(99'000, 10); }).empty());
    const auto hers = ask(s.store, [&](Reader& x) { return x.requests_of(person); });
    REQUIRE(hers.size() == 3);
    CHECK(std::count_if(hers.begin(), hers.end(), [&](const Request& one) { return one.letter == letter; }) ==
          2);
    CHECK(hers[2].state == RequestState::lapsed);
    CHECK(hers[2].name.empty());
}

TEST_CASE_TEMPLATE("a letter comes back as it was kept", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    Letter l;
    run(s.store, [&](Transaction& t) {
        l = a_letter(t.new_id(), person, newsletter);
        l.kind = LetterKind::already_subscribed;
        l.newsletters = {newsletter, 77, 78};
        l.change = 79;
        t.add(l);
    });
    const auto compare = [&] {
        const auto found = ask(s.store, [&](Reader& r) { return r.letter(l.id); });
        REQUIRE(found);
        CHECK(found->person == person);
        CHECK(found->kind == l.kind);
        CHECK(found->state == l.state);
        CHECK(found->locale == l.locale);
        CHECK(found->created_at == l.created_at);
        CHECK(found->due_at == l.due_at);
        CHECK(found->first_leased_at == l.first_leased_at);
        CHECK(found->leased_at == l.leased_at);
        CHECK(found->sent_at == l.sent_at);
        CHECK(found->expires_at == l.expires_at);
        CHECK(found->leased_by == l.leased_by);
        CHECK(found->attempts == l.attempts);
        CHECK(found->uncertain == l.uncertain);
        CHECK(found->message_id == l.message_id);
        CHECK(found->key_id == l.key_id);
        CHECK(found->newsletters == l.newsletters);
        CHECK(found->network == l.network);
        CHECK(found->budgeted == l.budgeted);
        CHECK(found->mailbox_unknown == l.mailbox_unknown);
        CHECK(found->reply == l.reply);
        CHECK(found->change == l.change);
        CHECK(found->suspect == l.suspect);
    };
    compare();
    l.state = LetterState::refused;
    l.locale = "en";
    l.due_at = 2;
    l.first_leased_at = 3;
    l.leased_at = 4;
    l.sent_at = 5;
    l.expires_at = 6;
    l.leased_by = "somebody";
    l.attempts = 7;
    l.uncertain = 8;
    l.key_id = 9;
    l.newsletters = {};
    l.network = "n";
    l.budgeted = false;
    l.mailbox_unknown = true;
    l.reply = "550 5.1.1 no such user";
    l.suspect = true;
    run(s.store, [&](Transaction& t) { t.update(l); });
    compare();
}

TEST_CASE_TEMPLATE("a letter may be added with a past: whatever it has of it is kept", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    const auto kept = [&](auto change, auto same) {
        Letter l = a_letter(0, person, newsletter);
        l.kind = LetterKind::already_subscribed;
        change(l);
        run(s.store, [&](Transaction& t) {
            l.id = t.new_id();
            t.add(l);
        });
        return same(*ask(s.store, [&](Reader& r) { return r.letter(l.id); }));
    };
    CHECK(kept([](Letter& l) { l.first_leased_at = 3; },
               [](const Letter& l) { return l.first_leased_at == 3; }));
    CHECK(kept([](Letter& l) { l.leased_at = 4; }, [](const Letter& l) { return l.leased_at == 4; }));
    CHECK(kept([](Letter& l) { l.sent_at = 5; }, [](const Letter& l) { return l.sent_at == 5; }));
    CHECK(kept([](Letter& l) { l.expires_at = 6; }, [](const Letter& l) { return l.expires_at == 6; }));
    CHECK(kept([](Letter& l) { l.leased_by = "me"; }, [](const Letter& l) { return l.leased_by == "me"; }));
    CHECK(kept([](Letter& l) { l.attempts = 7; }, [](const Letter& l) { return l.attempts == 7; }));
    CHECK(kept([](Letter& l) { l.uncertain = 8; }, [](const Letter& l) { return l.uncertain == 8; }));
    CHECK(
        kept([](Letter& l) { l.mailbox_unknown = true; }, [](const Letter& l) { return l.mailbox_unknown; }));
    CHECK(kept([](Letter& l) { l.reply = "550"; }, [](const Letter& l) { return l.reply == "550"; }));
    CHECK(kept([](Letter& l) { l.suspect = true; }, [](const Letter& l) { return l.suspect; }));
}

TEST_CASE_TEMPLATE("the outbox hands out what is due, soonest first", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    std::vector<Id> letters;
    const LetterState states[] = {LetterState::queued,   LetterState::leased,   LetterState::sent,
                                  LetterState::deferred, LetterState::refused,  LetterState::uncertain,
                                  LetterState::expired,  LetterState::cancelled};
    for (std::size_t i = 0; i < std::size(states); ++i) {
        const Id person = sign_up(s.store, std::to_string(i) + "@example.org", newsletter);
        run(s.store, [&](Transaction& t) {
            Letter l = t.letters_of(person).at(0);
            l.state = states[i];
            l.due_at = 100 - static_cast<TimeMs>(i);
            t.update(l);
            letters.push_back(l.id);
        });
    }
    const auto ids = [](const std::vector<Letter>& list) {
        std::vector<Id> out;
        for (const auto& l : list) out.push_back(l.id);
        return out;
    };
    const auto due = [&](TimeMs now, std::size_t limit) {
        return ids(ask(s.store, [&](Reader& r) { return r.due_letters(now, limit); }));
    };
    CHECK(due(100, 10) == std::vector<Id>{letters[5], letters[3], letters[0]});
    CHECK(due(100, 2) == std::vector<Id>{letters[5], letters[3]});
    CHECK(due(97, 10) == std::vector<Id>{letters[5], letters[3]});
    CHECK(due(94, 10).empty());
    CHECK(ids(ask(s.store, [](Reader& r) { return r.leased_letters(); })) == std::vector<Id>{letters[1]});

    auto counts = ask(s.store, [](Reader& r) { return r.outbox(97); });
    CHECK(counts.due == 2);
    CHECK(counts.waiting == 4);
    CHECK(counts.oldest_due == 95);
    counts = ask(s.store, [](Reader& r) { return r.outbox(0); });
    CHECK(counts.due == 0);
    CHECK(counts.waiting == 4);
    CHECK_FALSE(counts.oldest_due);

    Letter calm = ask(s.store, [&](Reader& r) { return *r.letter(letters[5]); });
    run(s.store, [&](Transaction& t) {
        calm.id = t.new_id();
        calm.kind = LetterKind::welcome;
        calm.due_at = 90;
        t.add(calm);
    });
    CHECK(due(100, 10) == std::vector<Id>{letters[5], letters[3], letters[0], calm.id});
    CHECK(due(100, 3) == std::vector<Id>{letters[5], letters[3], letters[0]});
    CHECK(due(94, 10) == std::vector<Id>{calm.id});
    Letter link = calm;
    run(s.store, [&](Transaction& t) {
        link.id = t.new_id();
        link.kind = LetterKind::preference_link;
        link.due_at = 92;
        t.add(link);
    });
    CHECK(due(100, 10) == std::vector<Id>{letters[5], letters[3], letters[0], link.id, calm.id});
    CHECK(due(100, 4) == std::vector<Id>{letters[5], letters[3], letters[0], link.id});
    CHECK(ask(s.store, [](Reader& r) { return r.outbox(92); }).due == 2);
}

TEST_CASE_TEMPLATE("a person has at most one open confirmation", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    const auto open = [&] {
        return ask(s.store, [&](Reader& r) { return r.open_letter(person, LetterKind::confirmation); });
    };
    const Id first = open().value().id;
    CHECK_FALSE(
        ask(s.store, [&](Reader& r) { return r.open_letter(person, LetterKind::already_subscribed); }));
    const auto add_another = [&] {
        run(s.store, [&](Transaction& t) { t.add(a_letter(t.new_id(), person, newsletter)); });
    };
    for (const auto state :
         {LetterState::queued, LetterState::leased, LetterState::deferred, LetterState::uncertain}) {
        run(s.store, [&](Transaction& t) {
            Letter l = t.letter(first).value();
            l.state = state;
            t.update(l);
        });
        CHECK(open().value().id == first);
        CHECK_THROWS(add_another());
    }
    run(s.store, [&](Transaction& t) {
        Letter l = t.letter(first).value();
        l.state = LetterState::sent;
        t.update(l);
    });
    CHECK_FALSE(open());
    add_another();
    CHECK(open().value().id > first);
}

TEST_CASE_TEMPLATE("what mailers leave for others is kept", S, ALL_STORES) {
    S s;
    CHECK(ask(s.store, [](Reader& r) { return r.mailer_note(); }).last_run_at == 0);
    run(s.store, [](Transaction& t) { t.note_mailer({5, 6}); });
    run(s.store, [](Transaction& t) { t.note_mailer({7, 8, 1, 2, 3, 4, "554 no", 9}); });
    const auto note = ask(s.store, [](Reader& r) { return r.mailer_note(); });
    CHECK(note.last_run_at == 7);
    CHECK(note.usual_delay == 8);
    CHECK(note.delivered == 1);
    CHECK(note.later == 2);
    CHECK(note.refused == 3);
    CHECK(note.uncertain == 4);
    CHECK(note.relay_trouble == "554 no");
    CHECK(note.trouble_since == 9);
}

TEST_CASE_TEMPLATE("a key is suppressed for each reason at most once", S, ALL_STORES) {
    S s;
    Suppression a;
    a.key.fill(1);
    a.key_id = 3;
    a.reason = SuppressionReason::not_me;
    a.at = 50;
    Suppression again = a;
    again.at = 60;
    Suppression other = a;
    other.reason = SuppressionReason::complaint;
    other.at = 40;
    Suppression stranger = a;
    stranger.key.fill(2);
    run(s.store, [&](Transaction& t) {
        for (const auto& each : {a, again, other, stranger}) t.add(each);
    });
    auto found = ask(s.store, [&](Reader& r) { return r.suppressions(a.key); });
    REQUIRE(found.size() == 2);
    CHECK(found[0].reason == SuppressionReason::complaint);
    CHECK(found[1].reason == SuppressionReason::not_me);
    CHECK(found[1].at == 50);
    CHECK(found[1].key_id == 3);
    CHECK(found[1].key == a.key);
    run(s.store, [&](Transaction& t) { t.remove(a); });
    found = ask(s.store, [&](Reader& r) { return r.suppressions(a.key); });
    REQUIRE(found.size() == 1);
    CHECK(found[0].reason == SuppressionReason::complaint);
    CHECK(ask(s.store, [&](Reader& r) { return r.suppressions(stranger.key); }).size() == 1);
}

TEST_CASE_TEMPLATE("a budget is kept as it was set; an empty one is none", S, ALL_STORES) {
    S s;
    const std::string key = "ada@example.org";
    CHECK(ask(s.store, [&](Reader& r) { return r.budget(key); }).empty());
    const std::vector<BudgetEntry> entries{{1'795'000'000'123, 0xfedc'ba98'7654'3210},
                                           {1'795'000'000'124, 0}};
    run(s.store, [&](Transaction& t) { t.set_budget(key, entries); });
    CHECK(ask(s.store, [&](Reader& r) { return r.budget(key); }) == entries);
    CHECK(ask(s.store, [&](Reader& r) { return r.budget("bob@example.org"); }).empty());
    run(s.store, [&](Transaction& t) { t.set_budget(key, std::span(entries).first(1)); });
    CHECK(ask(s.store, [&](Reader& r) { return r.budget(key); }).size() == 1);
    run(s.store, [&](Transaction& t) { t.set_budget(key, {}); });
    CHECK(ask(s.store, [&](Reader& r) { return r.budget(key); }).empty());
}

TEST_CASE_TEMPLATE("a budget stays with its address, whoever comes, and goes with the person", S,
                   ALL_STORES) {
    S s;
    const std::vector<BudgetEntry> entries{{1'795'000'000'123, 7}};
    run(s.store, [&](Transaction& t) { t.set_budget("ada@example.org", entries); });
    Id ada = 0;
    run(s.store, [&](Transaction& t) {
        ada = t.new_id();
        t.add(a_person(ada, "ada@example.org"));
        t.add(a_person(t.new_id(), "bob@example.org"));
    });
    const auto budget = [&](const char* key) {
        return ask(s.store, [&](Reader& r) { return r.budget(key); });
    };
    CHECK(budget("ada@example.org") == entries);
    CHECK(budget("bob@example.org").empty());
    run(s.store, [&](Transaction& t) {
        t.set_budget("bob@example.org", entries);
        Person person = *t.person(ada);
        person.name = "Ada";
        t.update(person);
    });
    CHECK(budget("ada@example.org") == entries);
    run(s.store, [&](Transaction& t) { t.erase_person(ada); });
    CHECK(budget("ada@example.org").empty());
    CHECK(budget("bob@example.org") == entries);
}

TEST_CASE_TEMPLATE("the ledger comes back as it was written, and only grows at its head", S, ALL_STORES) {
    S s;
    CHECK(ask(s.store, [](Reader& r) { return r.ledger_head(); }).seq == 0);
    CHECK(ask(s.store, [](Reader& r) { return r.ledger_head(); }).hash == Digest{});
    Event second;
    run(s.store, [&](Transaction& t) {
        const Event first = an_event(t.ledger_head(), 41);
        t.append(first, sealed);
        CHECK(t.ledger_head().seq == 1);  // what a unit appended it also sees
        second = an_event(t.ledger_head(), 42);
        second.kind = EventKind::erased;
        second.evidence_nonce.reset();
        second.evidence.clear();
        t.append(second, sealed);
    });
    const auto head = ask(s.store, [](Reader& r) { return r.ledger_head(); });
    CHECK(head.seq == 2);
    CHECK(head.hash == second.hash);
    CHECK(head.key_id == 1);
    CHECK(head.seal == sealed(2, second.hash).seal);
    const auto all = ask(s.store, [](Reader& r) { return r.events(0, 10); });
    REQUIRE(all.size() == 2);
    CHECK(all[0].previous == Digest{});
    CHECK(all[0].evidence_nonce);
    const Event& e = all[1];
    CHECK(e.seq == 2);
    CHECK(e.at == second.at);
    CHECK(e.kind == EventKind::erased);
    CHECK(e.person == 42);
    CHECK(e.details == second.details);
    CHECK(e.identity_commitment == second.identity_commitment);
    CHECK(e.evidence_commitment == second.evidence_commitment);
    CHECK(e.previous == all[0].hash);
    CHECK(e.hash == second.hash);
    CHECK(e.identity_nonce == second.identity_nonce);
    CHECK(e.identity == second.identity);
    CHECK_FALSE(e.evidence_nonce);
    CHECK(e.evidence.empty());
    CHECK(ask(s.store, [](Reader& r) { return r.events(1, 10); }).size() == 1);
    CHECK(ask(s.store, [](Reader& r) { return r.events(0, 1); }).size() == 1);
    CHECK(ask(s.store, [](Reader& r) { return r.events_of(42); }).at(0).seq == 2);

    const auto refused = [&](auto spoil) {
        CHECK_THROWS_AS(run(s.store,
                            [&](Transaction& t) {
                                Event bad = an_event(t.ledger_head(), 1);
                                spoil(bad);
                                t.append(bad, sealed);
                            }),
                        std::logic_error);
    };
    refused([](Event& bad) { ++bad.seq; });
    refused([](Event& bad) { bad.previous.fill(0x55); });
    CHECK(ask(s.store, [](Reader& r) { return r.ledger_head(); }).seal == head.seal);
}

TEST_CASE_TEMPLATE("who comes while another is erased stays", S, ALL_STORES) {
    S s;
    Id one = 0;
    run(s.store, [&](Transaction& t) { t.add(a_person(one = t.new_id(), "one@example.org")); });
    run(s.store, [&](Transaction& t) {
        t.add(a_person(t.new_id(), "two@example.org"));
        t.erase_person(one);
    });
    CHECK_FALSE(ask(s.store, [](Reader& r) { return r.person_by_key("one@example.org"); }));
    CHECK(ask(s.store, [](Reader& r) { return r.person_by_key("two@example.org"); }));
}

TEST_CASE_TEMPLATE("an erased person is gone; her events stay, without what was hers", S, ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id person = sign_up(s.store, "oksana@example.org", newsletter);
    const Id other = sign_up(s.store, "taras@example.org", newsletter);
    const Event before = ask(s.store, [&](Reader& r) { return r.events_of(person).at(0); });
    run(s.store, [&](Transaction& t) { t.erase_person(person); });
    run(s.store, [&](Transaction& t) { t.erase_person(person); });  // not an error
    CHECK_FALSE(ask(s.store, [&](Reader& r) { return r.person(person); }));
    CHECK(ask(s.store, [&](Reader& r) { return r.subscriptions_of(person); }).empty());
    CHECK(ask(s.store, [&](Reader& r) { return r.requests_of(person); }).empty());
    CHECK(ask(s.store, [&](Reader& r) { return r.letters_of(person); }).empty());
    const Event after = ask(s.store, [&](Reader& r) { return r.events_of(person).at(0); });
    CHECK(after.hash == before.hash);
    CHECK(after.details == before.details);
    CHECK(after.identity_commitment == before.identity_commitment);
    CHECK_FALSE(after.identity_nonce);
    CHECK(after.identity.empty());
    CHECK_FALSE(after.evidence_nonce);
    CHECK(after.evidence.empty());
    CHECK(ask(s.store, [&](Reader& r) { return r.letters_of(other); }).size() == 1);
    CHECK(ask(s.store, [&](Reader& r) { return r.events_of(other).at(0).identity_nonce; }));
}

TEST_CASE_TEMPLATE("a withdrawal's line is in the journal when its unit is answered", S, ALL_STORES) {
    S s;
    run(s.store, [](Transaction& t) {
        t.journal_withdrawal("one");
        t.journal_withdrawal("two");
    });
    CHECK(s.journal() == "one\ntwo\n");
    run(s.store, [](Transaction& t) { t.journal_withdrawal("three"); });
    CHECK(s.journal() == "one\ntwo\nthree\n");
}

TEST_CASE_TEMPLATE("export hands out rows by subscription id, page by page", S, ALL_STORES) {
    S s;
    const Id morning = make_newsletter(s.store, "morning");
    const Id evening = make_newsletter(s.store, "evening");
    std::vector<Id> subscriptions;
    for (int i = 0; i < 5; ++i) {
        const Id person = sign_up(s.store, std::to_string(i) + "@example.org", i == 4 ? evening : morning);
        run(s.store, [&](Transaction& t) {
            Subscription sub = t.subscriptions_of(person).at(0);
            subscriptions.push_back(sub.id);
            if (i == 1) sub.confirmed_at = 5'000;
            if (i == 1) sub.status = SubscriptionStatus::confirmed;
            if (i == 2) sub.unsubscribed_at = 6'000;
            if (i == 3) sub.signed_up_at = 7'000;
            if (i == 3) sub.fields = "{}";
            t.update(sub);
            Person p = t.person(person).value();
            p.address = "N" + p.address;
            if (i == 0) p.locale = "en";
            t.update(p);
        });
    }
    const auto page = [&](const ExportFilter& filter, Id after, std::size_t limit) {
        std::vector<Id> ids;
        std::size_t count = 0;
        look(s.store, [&](Reader& r) {
            ids.clear();
            count = r.export_rows(filter, after, limit,
                                  [&](const ExportRow& row) { ids.push_back(row.subscription); });
        });
        CHECK(count == ids.size());
        return ids;
    };
    const auto& all = subscriptions;
    CHECK(page({}, 0, 100) == all);
    CHECK(page({}, 0, 2) == std::vector<Id>{all[0], all[1]});
    CHECK(page({}, all[1], 2) == std::vector<Id>{all[2], all[3]});
    CHECK(page({}, all[4], 2).empty());
    ExportFilter only;
    only.newsletter = evening;
    CHECK(page(only, 0, 100) == std::vector<Id>{all[4]});
    only = {};
    only.status = SubscriptionStatus::confirmed;
    CHECK(page(only, 0, 100) == std::vector<Id>{all[1]});
    only = {};
    only.locale = "en";
    CHECK(page(only, 0, 100) == std::vector<Id>{all[0]});
    CHECK(ask(s.store, [&](Reader& r) { return r.count_export_rows({}); }) == 5);
    look(s.store, [&](Reader& r) {
        r.export_rows({}, all[2], 1, [](const ExportRow& row) {
            CHECK(row.email == "N3@example.org");
            CHECK(row.name == "Oksana");
            CHECK(row.newsletter == "morning");
            CHECK(row.locale == "uk");
            CHECK(row.source == "https://news.example/article");
            CHECK(row.form == "article-end");
            CHECK(row.fields == "{}");
            CHECK(row.status == SubscriptionStatus::pending);
            CHECK(row.signed_up_at == 7'000);
            CHECK_FALSE(row.confirmed_at);
            CHECK_FALSE(row.unsubscribed_at);
        });
    });
}

TEST_CASE_TEMPLATE("an export of changes has whatever was written since, however old its dates are", S,
                   ALL_STORES) {
    S s;
    const Id newsletter = make_newsletter(s.store, "morning");
    const Id ada = sign_up(s.store, "ada@example.org", newsletter);
    const Id eve = sign_up(s.store, "eve@example.org", newsletter);
    const auto real_now = [] {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    };
    ExportFilter since;
    const auto later = [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        since.changed_since = real_now();
    };
    const auto changed = [&] {
        std::string emails;
        std::int64_t count = 0;
        look(s.store, [&](Reader& r) {
            r.export_rows(since, 0, 100, [&](const ExportRow& row) { (emails += row.email) += ' '; });
            count = r.count_export_rows(since);
        });
        CHECK(count == std::count(emails.begin(), emails.end(), ' '));
        return emails;
    };
    since.changed_since = real_now() - minute_ms;
    CHECK(changed() == "ada@example.org eve@example.org ");
    later();
    CHECK(changed() == "");
    run(s.store, [&](Transaction& t) {
        Subscription one = t.subscriptions_of(ada).front();
        one.status = SubscriptionStatus::bounced;
        one.signed_up_at = 1;
        t.update(one);
    });
    CHECK(changed() == "ada@example.org ");
    later();
    for (int change = 0; change < 3; ++change) {
        run(s.store, [&](Transaction& t) {
            Person person = t.person(eve).value();
            if (change == 0) person.name = "Eve";
            if (change == 1) person.locale = "pt-BR";
            if (change == 2) person.address = "EVE@example.org";
            t.update(person);
        });
        CHECK(changed() == (change == 2 ? "EVE@example.org " : "eve@example.org "));
        later();
    }
    run(s.store, [&](Transaction& t) {
        Person person = t.person(eve).value();
        person.proven_at = 5;
        ++person.generation;
        t.update(person);
    });
    CHECK(changed() == "");
    Id fay = 0;
    run(s.store, [&](Transaction& t) {
        Person person;
        person.id = fay = t.new_id();
        person.addr_key = person.abuse_key = person.address = person.envelope = "fay@example.org";
        t.add(person);
        Subscription old;
        old.id = t.new_id();
        old.person = fay;
        old.newsletter = newsletter;
        old.signed_up_at = 1'000;
        t.add(old);
    });
    CHECK(changed() == "fay@example.org ");
}

TEST_CASE_TEMPLATE("what is known of an untrusted proxy is the last thing noted", S, ALL_STORES) {
    S s;
    CHECK_FALSE(ask(s.store, [](Reader& r) { return r.proxy_note(); }));
    run(s.store, [](Transaction& t) { t.note_proxy(ProxyNote{"192.0.2.0/24", 5}); });
    run(s.store, [](Transaction& t) { t.note_proxy(ProxyNote{"10.0.0.0/24", 7}); });
    const auto note = ask(s.store, [](Reader& r) { return r.proxy_note(); });
    REQUIRE(note);
    CHECK(note->network == "10.0.0.0/24");
    CHECK(note->at == 7);
    run(s.store, [](Transaction& t) { t.note_proxy(std::nullopt); });
    CHECK_FALSE(ask(s.store, [](Reader& r) { return r.proxy_note(); }));
}

TEST_CASE_TEMPLATE("a query that throws is answered with its exception", S, ALL_STORES) {
    S s;
    Waiting waiting;
    s.store.read([](Reader&) { throw std::domain_error("no"); }, waiting.done());
    const auto result = waiting.get();
    CHECK(result.commit == Commit::failed);
    CHECK_THROWS_AS(std::rethrow_exception(result.error), std::domain_error);
    CHECK(ask(s.store, [](Reader& r) { return r.ledger_head(); }).seq == 0);
}

TEST_CASE_TEMPLATE("a mailer is alive as long as its presence", S, ALL_STORES) {
    S s;
    auto one = s.store.enlist_mailer();
    const auto two = s.store.enlist_mailer();
    const std::string id = one->id();
    CHECK(id != two->id());
    CHECK(s.store.mailer_alive(id));
    CHECK(s.store.mailer_alive(two->id()));
    one.reset();
    CHECK_FALSE(s.store.mailer_alive(id));
    CHECK(s.store.mailer_alive(two->id()));
    CHECK_FALSE(s.store.mailer_alive(""));
    CHECK_FALSE(s.store.mailer_alive("../../etc/passwd"));
    CHECK_FALSE(s.store.mailer_alive("0123456789abcdef0123456789abcdef"));
}

TEST_SUITE_END();
