#include "service/address_change.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/confirmation.h"
#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/preferences.h"
#include "service/token.h"

namespace zgoda::service {
namespace {

bool is_open(const AddressChange& change) {
    return !change.done_at && !change.ended_at;
}

AddressChange::End end_of(const Person& person) {
    return {
        person.addr_key, person.abuse_key, person.address, person.envelope, person.needs_smtputf8, {}, {}};
}

void move_to(Person& person, const AddressChange::End& end) {
    person.addr_key = end.addr_key;
    person.abuse_key = end.abuse_key;
    person.address = end.address;
    person.envelope = end.envelope;
    person.needs_smtputf8 = end.needs_smtputf8;
}

// Somebody else who has this address and has proven it.
bool proven_by_another(Reader& reader, const AddressChange::End& end, Id person) {
    const auto other = reader.person_by_key(end.addr_key);
    return other && other->id != person && other->proven_at;
}

// Somebody else who was only ever typed in: she has proven nothing, and the address is this person's now.
void absorb(Transaction& tx, const AddressChange::End& end, Id person, const Rules& rules, TimeMs now,
            Nonces& nonces) {
    const auto other = tx.person_by_key(end.addr_key);
    if (!other || other->id == person) return;
    tx.erase_person(other->id);
    record(tx, rules.keys, {EventKind::erased, other->id, R"({"method":"absorbed"})", "", ""}, now, nonces);
}

bool can_still_confirm(Reader& reader, const AddressChange::End& end, TimeMs now) {
    if (end.confirmed_at || !end.letter) return true;
    const auto letter = reader.letter(*end.letter);
    if (!letter) return false;
    switch (letter->state) {
        case LetterState::queued:
        case LetterState::leased:
        case LetterState::deferred:
        case LetterState::uncertain:
            return true;
        case LetterState::sent:
            return letter->expires_at.value_or(0) > now;
        case LetterState::refused:
        case LetterState::expired:
        case LetterState::cancelled:
            return false;
    }
    return false;
}

Letter enqueue_letter(Transaction& tx, const Person& to, const std::string& locale, Id change,
                      const std::string& network, bool over_budget, const Rules& rules, TimeMs now,
                      Nonces& nonces) {
    Letter letter = over_budget
                        ? enqueue_over_budget(tx, to, LetterKind::address_change, locale, rules, now, nonces)
                        : enqueue(tx, to, LetterKind::address_change, locale,
                                  cause_of(rules.keys, to.abuse_key, network), rules, now, nonces);
    letter.network = network;
    letter.change = change;
    tx.add(letter);
    return letter;
}

// Everything that the link of one end leads to.
struct Case {
    Token token;
    Person person;
    Letter letter;
    AddressChange change;
    bool new_end = false;

    AddressChange::End& end() { return new_end ? change.to : change.from; }
};

std::optional<Case> open_case(Reader& reader, std::string_view text, const Rules& rules) {
    const auto token = verify(text, TokenPurpose::confirm, rules.keys);
    if (!token) return std::nullopt;
    auto person = reader.person(token->a);
    auto letter = reader.letter(token->b);
    if (!person || !letter || letter->person != person->id || letter->kind != LetterKind::address_change ||
        !letter->change) {
        return std::nullopt;
    }
    auto change = reader.address_change(*letter->change);
    if (!change) return std::nullopt;
    const bool new_end = change->to.letter == letter->id;
    if (!new_end && change->from.letter != letter->id) return std::nullopt;
    return Case{*token, std::move(*person), std::move(*letter), std::move(*change), new_end};
}

// Scanners open a letter's links while it is being delivered, and some press what they find.
bool too_quick(const Letter& letter, TimeMs now) {
    return letter.state == LetterState::leased ||
           now < letter.sent_at.value_or(letter.first_leased_at.value_or(0)) + 5 * second_ms;
}

AddressChangeView view_of(Reader& reader, Case& one, const Rules& rules, TimeMs now) {
    using Kind = AddressChangeView::Kind;
    const AddressChange& change = one.change;
    AddressChangeView view;
    view.new_end = one.new_end;
    view.locale = one.person.locale;
    view.old_address = masked(change.from.address);
    view.new_address = masked(change.to.address);
    view.kind = Kind::over;
    if (change.ended_at) return view;
    const bool dead = expired(one.token, now) || one.token.generation != one.person.generation ||
                      (one.new_end && suppressed(reader, change.to.addr_key, rules.keys, now));
    if (change.done_at) {
        view.kind = Kind::done;
    } else if (one.new_end && proven_by_another(reader, change.to, one.person.id)) {
        view.kind = Kind::taken;
    } else if (one.end().confirmed_at) {
        view.kind = Kind::waits;
    } else if (!dead) {
        view.kind = Kind::open;
    }
    return view;
}

std::string identity_of(std::string_view old_address, std::string_view new_address) {
    return fmt::format(R"({{"old":{},"new":{}}})", json_string(old_address), json_string(new_address));
}

void finish(Transaction& tx, Case& one, const Client& client, const Rules& rules, TimeMs now,
            Nonces& nonces) {
    AddressChange& change = one.change;
    absorb(tx, change.to, one.person.id, rules, now, nonces);
    move_to(one.person, change.to);
    ++one.person.generation;
    tx.update(one.person);
    tx.set_budget(one.person.abuse_key, {});  // proven, as by a confirmation
    change.done_at = now;
    tx.update(change);
    record(tx, rules.keys,
           {EventKind::address_changed, one.person.id,
            fmt::format(R"({{"change":{},"method":"confirmed","letters":[{},{}],)"
                        R"("old_confirmed_at":"{}","new_confirmed_at":"{}"}})",
                        change.id, change.from.letter.value_or(0), change.to.letter.value_or(0),
                        rfc3339(*change.from.confirmed_at), rfc3339(*change.to.confirmed_at)),
            identity_of(change.from.address, change.to.address), evidence_json(client.ip, client.user_agent)},
           now, nonces);
    Person there = one.person;
    move_to(there, change.from);
    enqueue_letter(tx, there, one.person.locale, change.id, client_network(client.ip), true, rules, now,
                   nonces);
}

struct Undoing {
    AddressUndoView view;
    Person person;
    AddressChange change;
};

Undoing open_undo(Reader& reader, std::string_view text, const Rules& rules, TimeMs now) {
    using Kind = AddressUndoView::Kind;
    const auto token = verify(text, TokenPurpose::undo, rules.keys);
    if (!token || token->b != 0) return {};
    auto change = reader.address_change(token->a);
    if (!change || !change->done_at) return {};
    auto person = reader.person(change->person);
    if (!person) return {};
    Undoing one{{}, std::move(*person), std::move(*change)};
    one.view.locale = one.person.locale;
    one.view.old_address = masked(one.change.from.address);
    one.view.new_address = masked(one.change.to.address);
    if (one.person.addr_key == one.change.from.addr_key) {
        one.view.kind = Kind::done;
    } else if (one.change.ended_at || expired(*token, now)) {
        one.view.kind = Kind::expired;
    } else if (proven_by_another(reader, one.change.from, one.person.id)) {
        one.view.kind = Kind::taken;
    } else {
        one.view.kind = Kind::open;
    }
    return one;
}

}  // namespace

ChangeAsked ask_address_change(Transaction& tx, std::string_view token, const EmailAddress& to,
                               const Client& client, const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    const PreferencesCase one = open_preferences(tx, token, rules, now);
    if (one.kind == PreferencesCase::Kind::unknown) return ChangeAsked::unknown;
    if (one.kind == PreferencesCase::Kind::expired) return ChangeAsked::expired;
    const Person& person = one.person;
    if (to.addr_key == person.addr_key) return ChangeAsked::same_address;
    for (AddressChange& earlier : tx.address_changes_of(person.id)) {
        if (!is_open(earlier)) continue;
        if (earlier.to.addr_key == to.addr_key && can_still_confirm(tx, earlier.from, now) &&
            can_still_confirm(tx, earlier.to, now)) {
            return ChangeAsked::letters_sent;
        }
        earlier.ended_at = now;  // its letters that wait have nothing left to say, and are cancelled
        tx.update(earlier);
    }

    Nonces nonces(moment.seed);
    const std::string network = client_network(client.ip);
    AddressChange change;
    change.id = tx.new_id();
    change.person = person.id;
    change.asked_at = now;
    change.from = end_of(person);
    change.to = {to.addr_key, to.abuse_key, to.address, to.envelope, to.needs_smtputf8, {}, {}};
    change.from.letter =
        enqueue_letter(tx, person, person.locale, change.id, network, false, rules, now, nonces).id;
    if (suppressed(tx, to.addr_key, rules.keys, now)) {
        tx.new_id();  // no gap in the numbers that she sees tells of it
    } else {
        Person there = person;
        move_to(there, change.to);
        const auto other = tx.person_by_key(to.addr_key);
        change.to.letter = enqueue_letter(tx, there, other ? other->locale : person.locale, change.id,
                                          network, false, rules, now, nonces)
                               .id;
    }
    tx.add(change);
    return ChangeAsked::letters_sent;
}

Person addressee(Reader& reader, const Person& person, const Letter& letter) {
    Person there = person;
    if (letter.kind != LetterKind::address_change || !letter.change) return there;
    if (const auto change = reader.address_change(*letter.change))
        move_to(there, change->to.letter == letter.id ? change->to : change->from);
    return there;
}

std::optional<LeasedLetter::ChangePart> change_part(Reader& reader, const Letter& letter, TimeMs now) {
    using Part = LeasedLetter::ChangePart;
    if (!letter.change) return std::nullopt;
    const auto change = reader.address_change(*letter.change);
    if (!change || change->ended_at) return std::nullopt;
    const bool new_end = change->to.letter == letter.id;
    const AddressChange::End& end = new_end ? change->to : change->from;
    if (!new_end && change->from.letter != letter.id) {
        if (!change->done_at || *change->done_at + take_back_life <= now) return std::nullopt;
        return Part::done;
    }
    if (change->done_at || end.confirmed_at) return std::nullopt;
    if (!new_end) return Part::ask_old;
    return proven_by_another(reader, change->to, change->person) ? Part::taken : Part::ask_new;
}

std::string address_undo_token(const AddressChange& change, const Rules& rules, int key_id) {
    Token token;
    token.purpose = TokenPurpose::undo;
    token.a = change.id;
    token.expires_at = change.done_at.value_or(0) + take_back_life;
    return sign(token, rules.keys, key_id);
}

AddressChangeView show_address_change(Reader& reader, std::string_view token, const Rules& rules,
                                      TimeMs now) {
    auto one = open_case(reader, token, rules);
    return one ? view_of(reader, *one, rules, now) : AddressChangeView{};
}

AddressChangeView confirm_address_change(Transaction& tx, std::string_view token, const Client& client,
                                         const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    auto one = open_case(tx, token, rules);
    if (!one) return {};
    AddressChangeView view = view_of(tx, *one, rules, now);
    if (view.kind != AddressChangeView::Kind::open || too_quick(one->letter, now)) return view;
    one->end().confirmed_at = now;
    const AddressChange& change = one->change;
    Nonces nonces(moment.seed);
    if (change.from.confirmed_at && change.to.confirmed_at &&
        !proven_by_another(tx, change.to, one->person.id) &&
        !suppressed(tx, change.to.addr_key, rules.keys, now)) {
        finish(tx, *one, client, rules, now, nonces);
    } else {
        tx.update(one->change);
    }
    return view_of(tx, *one, rules, now);
}

AddressChangeView refuse_address_change(Transaction& tx, std::string_view token, const Client& client,
                                        const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    auto one = open_case(tx, token, rules);
    if (!one) return {};
    AddressChangeView view = view_of(tx, *one, rules, now);
    if (!is_open(one->change)) return view;
    view.kind = AddressChangeView::Kind::refused;
    Nonces nonces(moment.seed);
    if (!one->new_end) {
        one->change.ended_at = now;
        tx.update(one->change);
        record(tx, rules.keys,
               {EventKind::declined, one->person.id,
                fmt::format(R"({{"change":{},"method":"not_me"}})", one->change.id),
                identity_of(one->change.from.address, one->change.to.address),
                evidence_json(client.ip, client.user_agent)},
               now, nonces);
        return view;
    }
    // The suppression is what keeps this change from being done. The change itself stays as it is, and
    // nothing of this is written to the asker's story: she is not told what a stranger answered.
    if (proven_by_another(tx, one->change.to, one->person.id)) return view;
    Suppression wish = suppression_keys(rules.keys, one->change.to.addr_key).front();
    wish.reason = SuppressionReason::not_me;
    wish.at = now;
    const std::vector<Suppression> known = tx.suppressions(wish.key);
    if (std::any_of(known.begin(), known.end(),
                    [](const Suppression& other) { return other.reason == SuppressionReason::not_me; })) {
        return view;
    }
    keep_suppression(tx, wish);
    const auto other = tx.person_by_key(one->change.to.addr_key);
    record(tx, rules.keys, {EventKind::suppressed, other ? other->id : 0, R"({"reason":"not_me"})", "", ""},
           now, nonces);
    return view;
}

AddressUndoView show_address_undo(Reader& reader, std::string_view token, const Rules& rules, TimeMs now) {
    return open_undo(reader, token, rules, now).view;
}

AddressUndoView take_back_address(Transaction& tx, std::string_view token, const Client& client,
                                  const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    Undoing one = open_undo(tx, token, rules, now);
    if (one.view.kind != AddressUndoView::Kind::open) return one.view;
    // Whoever took the address may have moved on with it: all that came later goes as well.
    for (AddressChange& later : tx.address_changes_of(one.person.id)) {
        if (later.id < one.change.id || later.ended_at) continue;
        later.ended_at = now;
        tx.update(later);
    }
    Nonces nonces(moment.seed);
    absorb(tx, one.change.from, one.person.id, rules, now, nonces);
    const std::string lost = one.person.address;
    move_to(one.person, one.change.from);
    ++one.person.generation;
    tx.update(one.person);
    record(tx, rules.keys,
           {EventKind::address_changed, one.person.id,
            fmt::format(R"({{"change":{},"method":"taken_back"}})", one.change.id),
            identity_of(lost, one.person.address), evidence_json(client.ip, client.user_agent)},
           now, nonces);
    one.view.kind = AddressUndoView::Kind::done;
    return one.view;
}

}  // namespace zgoda::service
