// The vocabulary of the rules' tests: a newsroom with three newsletters, a store in memory, a clock that
// ticks by hand and a mailer that delivers to a vector.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "service/code.h"
#include "service/confirmation.h"
#include "service/ledger.h"
#include "service/outbox.h"
#include "service/signup.h"
#include "service/story.h"
#include "service/withdrawal.h"
#include "tests/support/memory_store.h"

namespace zgoda::service {

inline const std::string kyiv = "203.0.113.7";   // the reader
inline const std::string lviv = "198.51.100.9";  // another network

struct World {
    Keyring keys{{[] {
        MasterKey key;
        key.id = 1;
        key.secret.fill(7);
        return key;
    }()}};
    Texts texts{std::map<std::string, Texts::Language, std::less<>>{
        {"en", {{"form.thanks", "Thank you."}, {"form.consent", "I agree."}, {"problem.empty", "Empty."}}},
        {"uk", {{"form.thanks", "Дякуємо."}, {"form.consent", "Я згодна."}}}}};
    Rules rules{keys, texts, *parse_rates("1/15min 3/24h 5/30d"), "news.example", {}};
    zgoda::tests::MemoryStore store;
    TimeMs now = 1'795'514'400'000;
    std::uint8_t dice = 0;

    World() {
        store.run_twice = true;  // as a database may: every rule must bear it
        for (const char* slug : {"daily", "weekly", "culture"}) add_newsletter(slug);
    }

    Moment moment() {
        Moment one;
        one.now = now;
        one.seed.fill(++dice);
        return one;
    }

    void add_newsletter(const std::string& slug) {
        run(store, [&](Transaction& tx) {
            Newsletter one;
            one.id = tx.new_id();
            one.slug = slug;
            one.settings[{"name", ""}] = "The " + slug;
            one.settings[{"name", "uk"}] = "Наш " + slug;
            tx.add(one);
        });
    }

    template <class Change>
    void edit(const std::string& slug, Change change) {
        run(store, [&](Transaction& tx) {
            Newsletter one = *tx.newsletters()->find(slug);
            change(one);
            tx.update(one);
        });
    }

    Id id_of(const std::string& slug) {
        Id id = 0;
        look(store, [&](Reader& reader) { id = reader.newsletters()->find(slug)->id; });
        return id;
    }

    SignupForm form(const std::string& email, std::vector<std::string> newsletters,
                    const std::string& ip = kyiv) {
        SignupForm one;
        one.email = email;
        one.newsletters = std::move(newsletters);
        one.client = {ip, "Tests/1.0"};
        return one;
    }

    SignupOutcome submit(SignupForm one) {
        auto checked = check_signup(std::move(one), rules);
        REQUIRE(std::holds_alternative<Signup>(checked));
        SignupOutcome outcome;
        const Moment when = moment();
        run(store, [&](Transaction& tx) { outcome = subscribe(tx, std::get<Signup>(checked), rules, when); });
        return outcome;
    }

    SignupOutcome sign_up(const std::string& email, std::vector<std::string> newsletters,
                          const std::string& ip = kyiv) {
        return submit(form(email, std::move(newsletters), ip));
    }

    // What one mailer leases now.
    std::vector<LeasedLetter> lease_all(const std::string& mailer = "m1") {
        std::vector<LeasedLetter> out;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            out = lease(
                tx, mailer, 100, [](const std::string&) { return true; }, rules, when);
        });
        return out;
    }

    void report(const LeasedLetter& letter, const Result& result, const std::string& mailer = "m1") {
        const Moment when = moment();
        run(store,
            [&](Transaction& tx) { record_result(tx, letter.letter.id, mailer, result, rules, when); });
    }

    // A mailer's run whose server takes everything. Returns what it sent.
    std::vector<LeasedLetter> deliver() {
        std::vector<LeasedLetter> sent = lease_all();
        for (const LeasedLetter& letter : sent) report(letter, {Result::Kind::delivered, "250 ok"});
        return sent;
    }

    ConfirmationView page(const std::string& token) {
        ConfirmationView view;
        look(store, [&](Reader& reader) { view = show_confirmation(reader, token, rules, now); });
        return view;
    }

    // Posts the page's form at this very moment.
    ConfirmationOutcome post(const std::string& token, const Press& press, const std::string& ip = kyiv) {
        ConfirmationOutcome outcome;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            outcome = confirm(tx, token, press, {ip, "Browser"}, rules, when);
        });
        return outcome;
    }

    // Presses the button, with what the page ticked, or with these. It takes people some time to get there.
    ConfirmationOutcome press(const std::string& token, std::vector<std::string> ticked = {"as shown"}) {
        std::vector<Id> ids;
        if (ticked == std::vector<std::string>{"as shown"}) {
            for (const Offer& offer : page(token).offers) {
                if (offer.ticked) ids.push_back(offer.newsletter);
            }
        } else {
            for (const std::string& slug : ticked) ids.push_back(id_of(slug));
        }
        now += 10 * second_ms;
        return post(token, {ids});
    }

    // Types a code into the form that holds this ticket.
    CodeOutcome type(const Ticket& ticket, const std::string& code) {
        CodeOutcome outcome;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            outcome = try_code(tx, ticket, code, {kyiv, "Form"}, rules, when);
        });
        return outcome;
    }

    // Signs up, reads the letter, presses the button.
    std::string subscribed(const std::string& email, std::vector<std::string> newsletters) {
        sign_up(email, std::move(newsletters));
        const auto letters = deliver();
        REQUIRE(letters.size() == 1);
        press(letters[0].confirm_token);
        return letters[0].confirm_token;
    }

    std::optional<Person> person(const std::string& addr_key) {
        std::optional<Person> found;
        look(store, [&](Reader& reader) { found = reader.person_by_key(addr_key); });
        return found;
    }

    std::string status(const std::string& addr_key, const std::string& slug) {
        std::string out = "none";
        look(store, [&](Reader& reader) {
            const auto who = reader.person_by_key(addr_key);
            if (!who) return;
            for (const Subscription& one : reader.subscriptions_of(who->id)) {
                if (reader.newsletters()->find(one.newsletter)->slug == slug) out = word(one.status);
            }
        });
        return out;
    }

    std::string unsubscribe_link(const std::string& addr_key, const std::string& slug) {
        std::string out;
        look(store, [&](Reader& reader) {
            for (const Subscription& one : reader.subscriptions_of(reader.person_by_key(addr_key)->id)) {
                if (one.newsletter == reader.newsletters()->find(slug)->id) {
                    out = unsubscribe_token(one.id, rules, 1);
                }
            }
        });
        return out;
    }

    UnsubscribeView leave(const std::string& token, Way way = Way::page) {
        UnsubscribeView view;
        const Moment when = moment();
        Leaving leaving;
        leaving.way = way;
        run(store, [&](Transaction& tx) {
            view = unsubscribe(tx, token, leaving, {kyiv, "B"}, rules, when);
        });
        return view;
    }

    NotMe deny(const std::string& token) {
        NotMe answer = NotMe::unknown;
        const Moment when = moment();
        run(store, [&](Transaction& tx) { answer = not_me(tx, token, {lviv, "B"}, rules, when); });
        return answer;
    }

    std::vector<Event> events() {
        std::vector<Event> all;
        look(store, [&](Reader& reader) { all = reader.events(0, 100000); });
        return all;
    }

    int count(EventKind kind) {
        const auto all = events();
        return static_cast<int>(
            std::count_if(all.begin(), all.end(), [kind](const Event& one) { return one.kind == kind; }));
    }

    Verdict verify_chain(std::optional<std::string> expected = {}) {
        return verify_ledger(store, keys, expected);
    }

    std::string explained(const std::string& addr_key) {
        std::string out;
        look(store, [&](Reader& reader) {
            for (const StoryLine& line : story(reader, addr_key, rules, now).lines) out += line.text + "\n";
        });
        return out;
    }
};

inline std::vector<std::string> names(const LeasedLetter& letter) {
    std::vector<std::string> out;
    for (const auto& one : letter.newsletters) out.push_back(one.slug);
    return out;
}

inline std::vector<std::string> ticked(const ConfirmationView& view) {
    std::vector<std::string> out;
    for (const Offer& offer : view.offers) {
        if (offer.ticked) out.push_back(offer.slug);
    }
    return out;
}

inline std::vector<std::string> unticked(const ConfirmationView& view) {
    std::vector<std::string> out;
    for (const Offer& offer : view.offers) {
        if (!offer.ticked) out.push_back(offer.slug);
    }
    return out;
}

using Slugs = std::vector<std::string>;

}  // namespace zgoda::service
