// A newsroom whose readers ask for their preferences: the vocabulary of the tests of settings, changes of
// address and personal data.
#pragma once

#include "service/address_change.h"
#include "service/personal_data.h"
#include "service/preferences.h"
#include "tests/service/world.h"

namespace zgoda::service {

struct PreferencesWorld : World {
    PreferencesWorld() { rules.preference_links = *parse_rates("1/15min 3/24h"); }

    EmailAddress address(const std::string& email) {
        auto checked = check_address(email, rules.address);
        REQUIRE(std::holds_alternative<EmailAddress>(checked));
        return std::get<EmailAddress>(checked);
    }

    void ask_for_link(const std::string& email, const std::string& ip = kyiv) {
        const EmailAddress to = address(email);
        const Moment when = moment();
        run(store, [&](Transaction& tx) { send_preference_link(tx, to, {ip, "B"}, rules, when); });
    }

    // Asks for a link, reads the letter.
    std::string preferences_of(const std::string& email) {
        ask_for_link(email);
        for (const LeasedLetter& letter : deliver()) {
            if (letter.letter.kind == LetterKind::preference_link) return letter.preferences_token;
        }
        FAIL("no letter with a preferences link");
        return {};
    }

    PreferencesView settings(const std::string& token) {
        PreferencesView view;
        look(store, [&](Reader& reader) { view = show_preferences(reader, token, rules, now); });
        return view;
    }

    const PreferencesView::Item item(const std::string& token, const std::string& slug) {
        for (const auto& one : settings(token).items) {
            if (one.slug == slug) return one;
        }
        return {};
    }

    PreferencesOutcome save(const std::string& token, const std::vector<Choice>& choices,
                            const std::string& locale = "") {
        PreferencesOutcome outcome;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            outcome = save_preferences(tx, token, choices, locale, {kyiv, "B"}, rules, when);
        });
        return outcome;
    }

    Choice joining(const std::string& token, const std::string& slug) {
        return {id_of(slug), Choice::What::join, 0, item(token, slug).wording.id};
    }
    Choice leaving(const std::string& slug) { return {id_of(slug), Choice::What::leave, 0, ""}; }
    Choice pausing(const std::string& slug, int weeks) {
        return {id_of(slug), Choice::What::pause, weeks, ""};
    }
    Choice resuming(const std::string& slug) { return {id_of(slug), Choice::What::resume, 0, ""}; }

    PreferencesCase::Kind erase_me(const std::string& token, bool never_again = false) {
        auto kind = PreferencesCase::Kind::unknown;
        const Moment when = moment();
        run(store,
            [&](Transaction& tx) { kind = erase_by_preferences(tx, token, never_again, rules, when); });
        return kind;
    }

    void suppress(const std::string& addr_key, SuppressionReason reason) {
        run(store, [&](Transaction& tx) {
            Suppression one = suppression_keys(keys, addr_key).front();
            one.reason = reason;
            one.at = now;
            tx.add(one);
        });
    }

    std::vector<SuppressionReason> suppressions_of(const std::string& addr_key) {
        std::vector<SuppressionReason> out;
        look(store, [&](Reader& reader) {
            for (const auto& one : reader.suppressions(suppression_keys(keys, addr_key).front().key))
                out.push_back(one.reason);
        });
        return out;
    }

    // --- Changes of address ---

    ChangeAsked ask_change(const std::string& token, const std::string& email) {
        const EmailAddress to = address(email);
        auto answer = ChangeAsked::unknown;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            answer = ask_address_change(tx, token, to, {kyiv, "B"}, rules, when);
        });
        return answer;
    }

    AddressChangeView change_page(const std::string& token) {
        AddressChangeView view;
        look(store, [&](Reader& reader) { view = show_address_change(reader, token, rules, now); });
        return view;
    }

    AddressChangeView agree(const std::string& token) {
        AddressChangeView view;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            view = confirm_address_change(tx, token, {kyiv, "B"}, rules, when);
        });
        return view;
    }

    AddressChangeView disagree(const std::string& token) {
        AddressChangeView view;
        const Moment when = moment();
        run(store, [&](Transaction& tx) {
            view = refuse_address_change(tx, token, {lviv, "B"}, rules, when);
        });
        return view;
    }

    AddressUndoView undo_page(const std::string& token) {
        AddressUndoView view;
        look(store, [&](Reader& reader) { view = show_address_undo(reader, token, rules, now); });
        return view;
    }

    AddressUndoView take_back(const std::string& token) {
        AddressUndoView view;
        const Moment when = moment();
        run(store, [&](Transaction& tx) { view = take_back_address(tx, token, {kyiv, "B"}, rules, when); });
        return view;
    }

    // The letters of a change, by the part that each plays.
    struct Ends {
        std::string ask_old, ask_new;  // confirm tokens
        bool taken = false;
        std::string undo;
        std::vector<std::string> to;  // envelopes
    };
    Ends read_change_letters() {
        Ends ends;
        for (const LeasedLetter& letter : deliver()) {
            if (letter.letter.kind != LetterKind::address_change) continue;
            ends.to.push_back(letter.person.envelope);
            switch (letter.change_part) {
                case LeasedLetter::ChangePart::ask_old:
                    ends.ask_old = letter.confirm_token;
                    break;
                case LeasedLetter::ChangePart::ask_new:
                    ends.ask_new = letter.confirm_token;
                    break;
                case LeasedLetter::ChangePart::taken:
                    ends.taken = true;
                    break;
                case LeasedLetter::ChangePart::done:
                    ends.undo = letter.undo_token;
                    break;
            }
        }
        now += minute_ms;  // nobody reads that fast
        return ends;
    }
};

}  // namespace zgoda::service
