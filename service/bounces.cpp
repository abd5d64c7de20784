#include "service/bounces.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/address_change.h"
#include "service/ledger.h"
#include "service/outbox.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

constexpr DurationMs oldest_letter = 30 * day_ms;
constexpr DurationMs between_strikes = day_ms, strike_counts_for = 30 * day_ms;
constexpr DurationMs between_points = day_ms, points_count_for = 14 * day_ms;
constexpr int too_many_points = 5;

bool gets_mail(const Subscription& subscription) {
    return subscription.status == SubscriptionStatus::confirmed ||
           subscription.status == SubscriptionStatus::paused;
}

// Her signup cannot be answered: the confirmation that came back counts as refused.
BounceOutcome give_up_signup(Transaction& tx, const Person& person, Letter letter, const std::string& reply,
                             const Rules& rules, const Moment& moment) {
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    const bool asks = std::any_of(letter.newsletters.begin(), letter.newsletters.end(), [&](Id newsletter) {
        const Subscription* one = find_subscription(subscriptions, newsletter);
        return one != nullptr && one->status == SubscriptionStatus::pending;
    });
    if (letter.kind != LetterKind::confirmation || !asks) return BounceOutcome::noted;
    Nonces nonces(moment.seed);
    letter.mailbox_unknown = true;
    letter.reply = reply;
    refuse(tx, person, letter, rules, moment.now, nonces);
    return BounceOutcome::undeliverable;
}

BounceOutcome stop_mail(Transaction& tx, const Person& person, const Letter& letter, std::string_view why,
                        const std::string& reply, const Rules& rules, const Moment& moment) {
    Nonces nonces(moment.seed);
    const auto newsletters = tx.newsletters();
    std::string ended;
    for (Subscription& subscription : tx.subscriptions_of(person.id)) {
        if (!gets_mail(subscription)) continue;
        subscription.status = SubscriptionStatus::bounced;
        tx.update(subscription);
        ended += (ended.empty() ? "" : ",") + newsletter_json(*newsletters, subscription.newsletter);
    }
    const std::string identity = fmt::format(R"({{"address":{}}})", json_string(person.address));
    record(tx, rules.keys,
           {EventKind::bounced, person.id,
            fmt::format(R"({{"letter":{},"why":"{}","newsletters":[{}]}})", letter.id, why, ended), identity,
            fmt::format(R"({{"reply":{}}})", json_string(reply))},
           moment.now, nonces);
    Suppression rest = suppression_keys(rules.keys, person.addr_key).front();
    rest.reason = SuppressionReason::hard_bounce;
    rest.at = moment.now;
    tx.remove(rest);  // one of an earlier time, which would end too early
    tx.add(rest);
    record(tx, rules.keys, {EventKind::suppressed, person.id, R"({"reason":"hard_bounce"})", identity, ""},
           moment.now, nonces);
    tx.set_bounce_score({person.id, 0, 0, 0});
    return BounceOutcome::bounced;
}

}  // namespace

BounceOutcome take_back(Transaction& tx, Id id, Returned returned, const std::string& reply,
                        const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    const auto letter = tx.letter(id);
    const auto person = letter ? tx.person(letter->person) : std::nullopt;
    if (!person) return BounceOutcome::unknown;
    // It went to the other end of a change of address: that mailbox says nothing about hers.
    if (addressee(tx, *person, *letter).addr_key != person->addr_key) return BounceOutcome::noted;
    if (letter->sent_at.value_or(letter->created_at) + oldest_letter < now) return BounceOutcome::too_old;
    if (returned == Returned::complaint) {
        complain(tx, *person, id, rules, moment);
        return BounceOutcome::complained;
    }

    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person->id);
    if (std::none_of(subscriptions.begin(), subscriptions.end(), gets_mail)) {
        return returned == Returned::soft ? BounceOutcome::noted
                                          : give_up_signup(tx, *person, *letter, reply, rules, moment);
    }
    if (returned == Returned::hard) return stop_mail(tx, *person, *letter, "hard", reply, rules, moment);

    BounceScore score = tx.bounce_score(person->id);
    if (returned == Returned::perhaps) {
        const DurationMs since = now - score.struck_at;
        if (score.struck_at != 0 && since >= between_strikes && since <= strike_counts_for)
            return stop_mail(tx, *person, *letter, "twice", reply, rules, moment);
        if (score.struck_at != 0 && since < between_strikes) return BounceOutcome::noted;
        score.struck_at = now;
    } else {
        if (score.scored_at != 0 && now - score.scored_at < between_points) return BounceOutcome::noted;
        if (now - score.scored_at > points_count_for) score.points = 0;
        score.scored_at = now;
        if (++score.points >= too_many_points)
            return stop_mail(tx, *person, *letter, "score", reply, rules, moment);
    }
    tx.set_bounce_score(score);
    return BounceOutcome::noted;
}

}  // namespace zgoda::service
