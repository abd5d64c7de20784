#include "service/pending.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "service/budget.h"

namespace zgoda::service {

const Subscription* find_subscription(const std::vector<Subscription>& all, Id newsletter) {
    const auto found = std::find_if(all.begin(), all.end(), [newsletter](const Subscription& one) {
        return one.newsletter == newsletter;
    });
    return found == all.end() ? nullptr : &*found;
}

bool pending(const Request& request, const Wish& wish, const std::vector<Subscription>& subscriptions) {
    if (request.state != RequestState::open) return false;
    const Subscription* one = find_subscription(subscriptions, wish.newsletter);
    if (one == nullptr) return false;
    if (one->status == SubscriptionStatus::confirmed || one->status == SubscriptionStatus::paused)
        return false;
    return !one->unsubscribed_at || *one->unsubscribed_at < request.asked_at;
}

bool pending(const Request& request, const std::vector<Subscription>& subscriptions) {
    return std::any_of(request.wishes.begin(), request.wishes.end(),
                       [&](const Wish& wish) { return pending(request, wish, subscriptions); });
}

std::optional<TimeMs> ends_at(const Suppression& one) {
    if (one.reason != SuppressionReason::hard_bounce) return std::nullopt;
    return one.at + 7 * day_ms;
}

bool suppressed(Reader& reader, std::string_view addr_key, const Keyring& keys, TimeMs now) {
    return suppressed(reader, suppression_keys(keys, addr_key), now);
}

bool suppressed(Reader& reader, const std::vector<Suppression>& keys, TimeMs now) {
    for (const Suppression& key : keys) {
        for (const Suppression& one : reader.suppressions(key.key)) {
            switch (one.reason) {
                case SuppressionReason::erased:
                    break;
                case SuppressionReason::hard_bounce:
                    if (now < ends_at(one)) return true;
                    break;
                case SuppressionReason::complaint:
                case SuppressionReason::not_me:
                case SuppressionReason::never_again:
                case SuppressionReason::admin:
                    return true;
            }
        }
    }
    return false;
}

namespace {

std::string veiled_key(const std::string& abuse_key, const Keyring& keys) {
    return "erased:" + to_hex(hmac(*keys.key(keys.oldest(), KeyUse::budget), "address " + abuse_key));
}

std::vector<BudgetEntry> merged(std::vector<BudgetEntry> history, const std::vector<BudgetEntry>& veiled) {
    history.insert(history.end(), veiled.begin(), veiled.end());
    std::stable_sort(history.begin(), history.end(),
                     [](const BudgetEntry& a, const BudgetEntry& b) { return a.at < b.at; });
    return history;
}

}  // namespace

Cause cause_of(const Keyring& keys, const std::string& abuse_key, std::string network) {
    const std::uint64_t hash = network_hash(keys, network);
    return {std::move(network), hash, veiled_key(abuse_key, keys)};
}

void veil_budget(Transaction& tx, const std::string& abuse_key, const Rules& rules) {
    const auto history = tx.budget(abuse_key);
    if (history.empty()) return;
    const std::string key = veiled_key(abuse_key, rules.keys);
    tx.set_budget(key, merged(history, tx.budget(key)));
    tx.set_budget(abuse_key, {});
}

TimeMs budget_allows_at(Reader& reader, const Person& person, const Cause& cause, const Rules& rules,
                        TimeMs now) {
    const auto history = merged(reader.budget(person.abuse_key), reader.budget(cause.veiled));
    if (history.empty()) return now;
    return next_allowed(history, rules.per_address, cause.hash, now);
}

bool pay(Transaction& tx, const Person& person, Letter& letter, const Cause& cause, const Rules& rules,
         TimeMs now) {
    const auto from_before = tx.budget(cause.veiled);
    const auto history = merged(tx.budget(person.abuse_key), from_before);
    if (next_allowed(history, rules.per_address, cause.hash, now) > now) return false;
    if (!rules.per_address.empty())
        tx.set_budget(person.abuse_key, spend(history, rules.per_address, cause.hash, now));
    if (!from_before.empty()) tx.set_budget(cause.veiled, {});
    letter.budgeted = true;
    letter.network = cause.network;
    letter.due_at = std::min(letter.due_at, now);
    return true;
}

Letter enqueue_over_budget(Transaction& tx, const Person& person, LetterKind kind, const std::string& locale,
                           const Rules& rules, TimeMs now, Nonces& nonces) {
    Letter letter;
    letter.id = tx.new_id();
    letter.person = person.id;
    letter.kind = kind;
    letter.locale = locale;
    letter.created_at = now;
    letter.due_at = now;
    letter.budgeted = true;
    const Nonce random = nonces.next();
    letter.message_id =
        fmt::format("{}.{}@{}", letter.id, to_hex(std::span(random).first(8)), rules.message_id_domain);
    return letter;
}

Letter enqueue(Transaction& tx, const Person& person, LetterKind kind, const std::string& locale,
               const Cause& cause, const Rules& rules, TimeMs now, Nonces& nonces) {
    Letter letter = enqueue_over_budget(tx, person, kind, locale, rules, now, nonces);
    letter.network = cause.network;
    letter.budgeted = false;
    if (!pay(tx, person, letter, cause, rules, now))
        letter.due_at = std::min(budget_allows_at(tx, person, cause, rules, now), now + rules.budget_wait);
    return letter;
}

namespace {

void enqueue_own(Transaction& tx, const Person& person, LetterKind kind, const std::vector<Id>& newsletters,
                 const Rules& rules, TimeMs now, Nonces& nonces) {
    const auto all = tx.newsletters();
    for (const Id id : newsletters) {
        const Newsletter* newsletter = all->find(id);
        if (newsletter == nullptr || newsletter->setting(word(kind), person.locale).empty()) continue;
        const std::vector<Letter> earlier = tx.letters_of(person.id);
        // Joining and leaving by turns must not become a way to flood her.
        const bool had_one = std::any_of(earlier.begin(), earlier.end(), [&](const Letter& one) {
            return one.kind == kind && one.newsletters == std::vector<Id>{id} &&
                   one.created_at + day_ms > now && one.state != LetterState::cancelled;
        });
        if (had_one) continue;
        Letter letter = enqueue_over_budget(tx, person, kind, person.locale, rules, now, nonces);
        letter.newsletters = {id};
        tx.add(letter);
    }
}

}  // namespace

void enqueue_welcome(Transaction& tx, const Person& person, const std::vector<Id>& newsletters,
                     const Rules& rules, TimeMs now, Nonces& nonces) {
    enqueue_own(tx, person, LetterKind::welcome, newsletters, rules, now, nonces);
}

void enqueue_goodbye(Transaction& tx, const Person& person, const std::vector<Id>& newsletters,
                     const Rules& rules, TimeMs now, Nonces& nonces) {
    enqueue_own(tx, person, LetterKind::goodbye, newsletters, rules, now, nonces);
}

void enqueue_waiting(Transaction& tx, const Person& person, const Rules& rules, TimeMs now, Nonces& nonces) {
    std::vector<Request> waiting = tx.requests_of(person.id);
    std::erase_if(waiting, [&](const Request& request) {
        return request.letter || request.state != RequestState::open ||
               request.asked_at + rules.budget_wait <= now;
    });
    if (waiting.empty()) return;
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    std::erase_if(waiting, [&](const Request& request) { return !pending(request, subscriptions); });
    if (waiting.empty() || tx.open_letter(person.id, LetterKind::confirmation)) return;
    const Request& first = waiting.front();
    const Letter letter = enqueue(tx, person, LetterKind::confirmation, first.locale,
                                  cause_of(rules.keys, person.abuse_key, first.network), rules, now, nonces);
    tx.add(letter);
    for (Request& request : waiting) {
        request.letter = letter.id;
        tx.update(request);
    }
}

void resume(Transaction& tx, const Person& person, Subscription one, std::string_view method,
            const Client& client, const Rules& rules, TimeMs now, Nonces& nonces) {
    one.status = SubscriptionStatus::confirmed;
    one.paused_until.reset();
    tx.update(one);
    EventDraft event;
    event.kind = EventKind::resumed;
    event.person = person.id;
    event.details = fmt::format(R"({{"newsletters":[{}],"method":"{}"}})",
                                newsletter_json(*tx.newsletters(), one.newsletter), method);
    event.identity = fmt::format(R"({{"address":{}}})", json_string(person.address));
    if (!client.ip.empty() || !client.user_agent.empty())
        event.evidence = evidence_json(client.ip, client.user_agent);
    record(tx, rules.keys, std::move(event), now, nonces);
}

void cancel_idle_letters(Transaction& tx, Id person) {
    auto letter = tx.open_letter(person, LetterKind::confirmation);
    if (!letter || letter->state == LetterState::leased) return;
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person);
    for (const Request& request : tx.requests_of(person)) {
        if (request.letter == letter->id && pending(request, subscriptions)) return;
    }
    letter->state = LetterState::cancelled;
    tx.update(*letter);
}

std::string json_string(std::string_view text) {
    return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string newsletter_json(const Newsletters& newsletters, Id newsletter) {
    const Newsletter* one = newsletters.find(newsletter);
    return fmt::format(R"({{"id":{},"slug":{}}})", newsletter, json_string(one == nullptr ? "" : one->slug));
}

std::string evidence_json(std::string_view ip, std::string_view user_agent) {
    return fmt::format(R"({{"ip":{},"user_agent":{}}})", json_string(ip), json_string(user_agent));
}

}  // namespace zgoda::service
