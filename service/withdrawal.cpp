#include "service/withdrawal.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/confirmation.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/token.h"

namespace zgoda::service {
namespace {

std::string_view word(Way way) {
    switch (way) {
        case Way::page:
            return "page";
        case Way::one_click:
            return "one_click";
        case Way::admin:
            return "admin";
    }
    return "admin";
}

bool is_over(const Subscription& subscription) {
    return subscription.status == SubscriptionStatus::unsubscribed ||
           subscription.status == SubscriptionStatus::complained;
}

// One line: when, under which key, and a hash that only who has the key and the address can compare with.
void journal(Transaction& tx, const Person& person, std::string_view what, const Rules& rules, TimeMs now) {
    const int id = rules.keys.oldest();
    const Digest hash =
        hmac(*rules.keys.key(id, KeyUse::journal), fmt::format("{}\n{}", person.addr_key, what));
    tx.journal_withdrawal(fmt::format("{} {} {}", rfc3339(now), id, to_hex(hash)));
}

// Ends one subscription. The caller raises the generation and updates the person.
void leave(Transaction& tx, const Person& person, Subscription subscription, Way way, const Client& client,
           const Rules& rules, TimeMs now, Nonces& nonces) {
    subscription.status = SubscriptionStatus::unsubscribed;
    subscription.unsubscribed_at = now;
    tx.update(subscription);

    const auto newsletters = tx.newsletters();
    EventDraft event;
    event.kind = EventKind::withdrawn;
    event.person = person.id;
    event.details = fmt::format(R"({{"newsletters":[{}],"method":"{}"}})",
                                newsletter_json(*newsletters, subscription.newsletter), word(way));
    event.identity = fmt::format(R"({{"address":{}}})", json_string(person.address));
    event.evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys, std::move(event), now, nonces);
    journal(tx, person, fmt::format("newsletter {}", subscription.newsletter), rules, now);
}

// After a withdrawal: her older wishes end, and so do letters that had nothing else to ask.
void settle(Transaction& tx, Person person) {
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

}  // namespace

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

UnsubscribeView unsubscribe(Transaction& tx, std::string_view token, Way way, const Client& client,
                            const Rules& rules, const Moment& moment) {
    auto one = open_case(tx, token, rules);
    if (!one) return {};
    if (!is_over(one->subscription)) {
        Nonces nonces(moment.seed);
        leave(tx, one->person, one->subscription, way, client, rules, moment.now, nonces);
        settle(tx, one->person);
        one->subscription.status = SubscriptionStatus::unsubscribed;
        one->subscription.unsubscribed_at = moment.now;
    }
    return view_of(tx, one->person, one->subscription);
}

int unsubscribe(Transaction& tx, const Person& person, std::optional<Id> newsletter, const Rules& rules,
                const Moment& moment) {
    Nonces nonces(moment.seed);
    int ended = 0;
    for (const Subscription& subscription : tx.subscriptions_of(person.id)) {
        if ((newsletter && subscription.newsletter != *newsletter) || is_over(subscription)) continue;
        leave(tx, person, subscription, Way::admin, {}, rules, moment.now, nonces);
        ++ended;
    }
    if (ended > 0) settle(tx, person);
    return ended;
}

void erase(Transaction& tx, const Person& person, const Rules& rules, const Moment& moment) {
    Nonces nonces(moment.seed);
    Suppression memory = suppression_keys(rules.keys, person.addr_key).front();
    memory.reason = SuppressionReason::erased;
    memory.at = moment.now;
    journal(tx, person, "all", rules, moment.now);
    tx.erase_person(person.id);
    tx.add(memory);
    record(tx, rules.keys, {EventKind::erased, person.id, R"({"method":"admin"})", "", ""}, moment.now,
           nonces);
}

}  // namespace zgoda::service
