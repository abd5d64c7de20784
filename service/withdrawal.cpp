#include "service/withdrawal.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "service/confirmation.h"
#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/token.h"

namespace zgoda::service {
namespace {

constexpr std::string_view ways[] = {"page", "one_click", "preferences", "admin", "journal"};
constexpr std::string_view reasons[] = {"too_many", "not_interesting", "never_asked", "other"};

std::string_view word(Way way) {
    return ways[static_cast<std::size_t>(way)];
}

bool is_over(const Subscription& subscription) {
    return subscription.status == SubscriptionStatus::unsubscribed ||
           subscription.status == SubscriptionStatus::complained;
}

void journal(Transaction& tx, const Person& person, std::string_view what, const Rules& rules, TimeMs now) {
    journal(tx, person.addr_key, what, rules.keys, now);
    // A backup may know her by an address that she had before.
    for (const AddressChange& change : tx.address_changes_of(person.id)) {
        if (change.done_at && change.from.addr_key != person.addr_key)
            journal(tx, change.from.addr_key, what, rules.keys, now);
    }
}

std::string identity_json(const Person& person) {
    return fmt::format(R"({{"address":{}}})", json_string(person.address));
}

// After a withdrawal: her older wishes end, and so do letters that had nothing else to ask.
void settle(Transaction& tx, Person& person) {
    ++person.generation;
    tx.update(person);
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    for (Request& request : tx.requests_of(person.id)) {
        if (request.state != RequestState::open || pending(request, subscriptions)) continue;
        request.state = RequestState::withdrawn;
        tx.update(request);
    }
    cancel_idle_letters(tx, person.id);
}

UnsubscribeView view_of(Reader& reader, const Person& person, const Subscription& subscription) {
    const auto newsletters = reader.newsletters();
    const Newsletter* newsletter = newsletters->find(subscription.newsletter);
    UnsubscribeView view;
    view.kind = is_over(subscription) ? UnsubscribeView::Kind::left : UnsubscribeView::Kind::subscribed;
    view.locale = person.locale;
    view.masked_address = masked(person.address);
    if (newsletter != nullptr) view.newsletter = newsletter->name(view.locale);
    view.left_at = subscription.unsubscribed_at;
    return view;
}

struct Case {
    Person person;
    Subscription subscription;
};

std::optional<Case> open_case(Reader& reader, std::string_view text, const Rules& rules) {
    const auto token = verify(text, TokenPurpose::unsubscribe, rules.keys);
    if (!token) return std::nullopt;
    auto subscription = reader.subscription(token->a);
    if (!subscription) return std::nullopt;
    auto person = reader.person(subscription->person);
    if (!person) return std::nullopt;
    return Case{std::move(*person), std::move(*subscription)};
}

bool left_by_page(Reader& reader, Id person, TimeMs at) {
    const std::string method = fmt::format(R"("method":"{}")", word(Way::page));
    const std::vector<Event> events = reader.events_of(person);
    return std::any_of(events.begin(), events.end(), [&](const Event& event) {
        return event.kind == EventKind::withdrawn && event.at == at &&
               event.details.find(method) != std::string::npos;
    });
}

// What an undo token would bring back.
struct Undoing {
    UndoView view;
    std::optional<Person> person;
    std::vector<Subscription> ended;
};

Undoing open_undo(Reader& reader, std::string_view text, const Rules& rules, TimeMs now) {
    Undoing one;
    const auto token = verify(text, TokenPurpose::undo, rules.keys);
    if (!token || token->b <= 0) return one;
    one.person = reader.person(token->a);
    if (!one.person) return one;
    one.view.locale = one.person->locale;
    one.view.masked_address = masked(one.person->address);
    for (Subscription& subscription : reader.subscriptions_of(one.person->id)) {
        if (subscription.status == SubscriptionStatus::unsubscribed &&
            subscription.unsubscribed_at == token->b) {
            one.ended.push_back(std::move(subscription));
        }
    }
    if (one.ended.empty()) {
        one.view.kind = UndoView::Kind::over;
    } else if (now >= token->expires_at.value_or(0)) {  // our own clock made it: no allowance for another's
        one.view.kind = UndoView::Kind::expired;
    } else {
        one.view.kind = UndoView::Kind::open;
    }
    if (one.ended.size() == 1) {
        const auto newsletters = reader.newsletters();
        const Newsletter* newsletter = newsletters->find(one.ended.front().newsletter);
        if (newsletter != nullptr) one.view.newsletter = newsletter->name(one.view.locale);
    }
    return one;
}

// What is counted under the other end of a change of address of somebody who has just been erased; nothing
// proves that one which she only asked for was hers.
void forget_budget(Transaction& tx, const AddressChange::End& end, bool proven, const Rules& rules) {
    if (tx.person_by_key(end.addr_key) || tx.person_by_key(end.abuse_key)) return;  // it is somebody else's
    if (!proven) veil_budget(tx, end.abuse_key, rules);
    for (const char* counted : {"", "preferences:", "code:"}) tx.set_budget(counted + end.abuse_key, {});
}

// What she had asked for and not yet confirmed asks again. The links of the letters that went out for it have
// ended, but lead to a fresh one.
void reopen_requests(Transaction& tx, const Person& person, TimeMs left_at, const Rules& rules, TimeMs now,
                     Nonces& nonces) {
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    for (Request& request : tx.requests_of(person.id)) {
        if (request.state != RequestState::withdrawn || request.asked_at + rules.link_life <= left_at)
            continue;
        request.state = RequestState::open;
        if (!pending(request, subscriptions)) continue;
        const auto letter = request.letter ? tx.letter(*request.letter) : std::nullopt;
        if (letter && letter->state == LetterState::cancelled) request.letter.reset();
        tx.update(request);
    }
    enqueue_waiting(tx, person, rules, now, nonces);
}

}  // namespace

std::string_view word(LeavingReason reason) {
    return reasons[static_cast<std::size_t>(reason)];
}

std::optional<LeavingReason> parse_leaving_reason(std::string_view text) {
    const auto found = std::find(std::begin(reasons), std::end(reasons), text);
    if (found == std::end(reasons)) return std::nullopt;
    return static_cast<LeavingReason>(found - std::begin(reasons));
}

std::string unsubscribe_token(Id subscription, const Rules& rules, int key_id) {
    Token token;
    token.purpose = TokenPurpose::unsubscribe;
    token.a = subscription;
    return sign(token, rules.keys, key_id);
}

UnsubscribeView show_unsubscribe(Reader& reader, std::string_view token, const Rules& rules) {
    const auto one = open_case(reader, token, rules);
    return one ? view_of(reader, one->person, one->subscription) : UnsubscribeView{};
}

UnsubscribeView unsubscribe(Transaction& tx, std::string_view token, const Leaving& leaving,
                            const Client& client, const Rules& rules, const Moment& moment) {
    auto one = open_case(tx, token, rules);
    if (!one) return {};
    Nonces nonces(moment.seed);
    std::optional<std::vector<Id>> which;
    if (!leaving.all) which = {one->subscription.newsletter};
    const int ended = leave(tx, one->person, which, leaving, client, rules, moment.now, nonces);
    const Subscription after = *tx.subscription(one->subscription.id);
    UnsubscribeView view = view_of(tx, one->person, after);
    if (leaving.way != Way::page) return view;
    std::optional<TimeMs> left_at;
    if (ended > 0) {
        left_at = moment.now;
    } else if (leaving.shown_at > 0 && leaving.shown_at <= after.unsubscribed_at.value_or(0) &&
               left_by_page(tx, one->person.id, *after.unsubscribed_at)) {
        left_at = after.unsubscribed_at;
    }
    if (left_at && moment.now < *left_at + undo_life) {
        Token undo;
        undo.purpose = TokenPurpose::undo;
        undo.a = one->person.id;
        undo.b = *left_at;
        undo.expires_at = *left_at + undo_life;
        view.undo_token = sign(undo, rules.keys, rules.keys.newest());
    }
    return view;
}

int leave(Transaction& tx, Person& person, const std::optional<std::vector<Id>>& newsletters,
          const Leaving& leaving, const Client& client, const Rules& rules, TimeMs now, Nonces& nonces) {
    const auto all = tx.newsletters();
    std::vector<Id> ended;
    std::string list;
    for (Subscription& subscription : tx.subscriptions_of(person.id)) {
        const Id id = subscription.newsletter;
        if (newsletters && std::find(newsletters->begin(), newsletters->end(), id) == newsletters->end())
            continue;
        if (is_over(subscription)) continue;
        subscription.status = SubscriptionStatus::unsubscribed;
        subscription.unsubscribed_at = now;
        tx.update(subscription);
        journal(tx, person, fmt::format("newsletter {}", id), rules, now);
        if (!list.empty()) list += ',';
        list += newsletter_json(*all, id);
        ended.push_back(id);
    }
    if (ended.empty()) return 0;

    EventDraft event;
    event.kind = EventKind::withdrawn;
    event.person = person.id;
    event.details =
        fmt::format(R"({{"newsletters":[{}],"method":"{}"{}}})", list, word(leaving.way),
                    leaving.reason ? fmt::format(R"(,"reason":"{}")", word(*leaving.reason)) : std::string());
    event.identity = identity_json(person);
    event.evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys, std::move(event), now, nonces);
    settle(tx, person);
    // An administrator may have reasons that no letter knows of; what the journal knows was answered then.
    if (leaving.way != Way::admin && leaving.way != Way::journal)
        enqueue_goodbye(tx, person, ended, rules, now, nonces);
    return static_cast<int>(ended.size());
}

int unsubscribe(Transaction& tx, const Person& person, std::optional<Id> newsletter, const Rules& rules,
                const Moment& moment, Way way) {
    Nonces nonces(moment.seed);
    std::optional<std::vector<Id>> which;
    if (newsletter) which = {*newsletter};
    Person copy = person;
    Leaving leaving;
    leaving.way = way;
    return leave(tx, copy, which, leaving, {}, rules, moment.now, nonces);
}

void complain(Transaction& tx, Person person, Id letter, const Rules& rules, const Moment& moment) {
    Suppression wish = suppression_keys(rules.keys, person.addr_key).front();
    wish.reason = SuppressionReason::complaint;
    wish.at = moment.now;
    for (const Suppression& known : tx.suppressions(wish.key)) {
        if (known.reason == SuppressionReason::complaint) return;
    }
    Nonces nonces(moment.seed);
    const std::string identity = identity_json(person);
    const auto newsletters = tx.newsletters();
    std::string ended;
    for (Subscription& subscription : tx.subscriptions_of(person.id)) {
        if (is_over(subscription)) continue;
        subscription.status = SubscriptionStatus::complained;
        subscription.unsubscribed_at = moment.now;
        tx.update(subscription);
        ended += (ended.empty() ? "" : ",") + newsletter_json(*newsletters, subscription.newsletter);
        journal(tx, person, fmt::format("newsletter {}", subscription.newsletter), rules, moment.now);
    }
    record(tx, rules.keys,
           {EventKind::complained, person.id,
            fmt::format(R"({{"letter":{},"newsletters":[{}]}})", letter, ended), identity, ""},
           moment.now, nonces);
    keep_suppression(tx, wish);
    record(tx, rules.keys, {EventKind::suppressed, person.id, R"({"reason":"complaint"})", identity, ""},
           moment.now, nonces);
    settle(tx, person);
}

void journal_leaving(Transaction& tx, const Person& person, Id newsletter, const Rules& rules, TimeMs now) {
    journal(tx, person, fmt::format("newsletter {}", newsletter), rules, now);
}

// A restored backup replays the journal in order: the last line of a newsletter counts.
void journal_return(Transaction& tx, const Person& person, Id newsletter, const Rules& rules, TimeMs now) {
    journal(tx, person, fmt::format("undo newsletter {}", newsletter), rules, now);
}

UndoView show_undo(Reader& reader, std::string_view token, const Rules& rules, TimeMs now) {
    return open_undo(reader, token, rules, now).view;
}

UndoOutcome undo_withdrawal(Transaction& tx, std::string_view token, const Client& client, const Rules& rules,
                            const Moment& moment) {
    const TimeMs now = moment.now;
    Undoing one = open_undo(tx, token, rules, now);
    if (one.view.kind != UndoView::Kind::open) return {one.view, false};
    const TimeMs left_at = *one.ended.front().unsubscribed_at;
    const auto newsletters = tx.newsletters();
    std::string list;
    bool pends = false;
    for (Subscription& subscription : one.ended) {
        subscription.status = !subscription.confirmed_at                    ? SubscriptionStatus::pending
                              : subscription.paused_until.value_or(0) > now ? SubscriptionStatus::paused
                                                                            : SubscriptionStatus::confirmed;
        subscription.unsubscribed_at.reset();
        tx.update(subscription);
        pends |= subscription.status == SubscriptionStatus::pending;
        journal_return(tx, *one.person, subscription.newsletter, rules, now);
        if (!list.empty()) list += ',';
        list += newsletter_json(*newsletters, subscription.newsletter);
    }
    Nonces nonces(moment.seed);
    EventDraft event;
    event.kind = EventKind::withdrawal_undone;
    event.person = one.person->id;
    event.details = fmt::format(R"({{"newsletters":[{}],"method":"page"}})", list);
    event.identity = identity_json(*one.person);
    event.evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys, std::move(event), now, nonces);
    if (pends) reopen_requests(tx, *one.person, left_at, rules, now, nonces);
    return {one.view, true};
}

void erase(Transaction& tx, const Person& person, const Rules& rules, const Moment& moment, Way way,
           bool never_again) {
    Nonces nonces(moment.seed);
    std::vector<std::string> addresses{person.addr_key};  // that imports may still know her by
    const std::vector<AddressChange> changes = tx.address_changes_of(person.id);
    for (const AddressChange& change : changes) {
        if (!change.done_at) continue;
        addresses.push_back(change.from.addr_key);
        addresses.push_back(change.to.addr_key);
    }
    journal(tx, person, "all", rules, moment.now);
    if (never_again) journal(tx, person, "never again", rules, moment.now);
    tx.erase_person(person.id);
    for (const char* counted : {"preferences:", "code:"}) tx.set_budget(counted + person.abuse_key, {});
    for (const AddressChange& change : changes) {
        if (change.done_at) forget_budget(tx, change.from, true, rules);
        forget_budget(tx, change.to, change.done_at.has_value(), rules);
    }
    const auto remember = [&](const std::string& address, SuppressionReason reason) {
        Suppression memory = suppression_keys(rules.keys, address).front();
        memory.reason = reason;
        memory.at = moment.now;
        keep_suppression(tx, memory);
    };
    for (const std::string& address : addresses) remember(address, SuppressionReason::erased);
    record(tx, rules.keys,
           {EventKind::erased, person.id, fmt::format(R"({{"method":"{}"}})", word(way)), "", ""}, moment.now,
           nonces);
    if (!never_again) return;
    remember(person.addr_key, SuppressionReason::never_again);
    record(tx, rules.keys, {EventKind::suppressed, person.id, R"({"reason":"never_again"})", "", ""},
           moment.now, nonces);
}

}  // namespace zgoda::service
