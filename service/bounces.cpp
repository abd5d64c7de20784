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
constexpr int most_remarks = 5;  // on one letter, by mails that do not count: who has it can send many

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

std::string_view name_of(Returned returned) {
    switch (returned) {
        case Returned::hard:
            return "hard";
        case Returned::perhaps:
            return "perhaps";
        case Returned::soft:
            return "soft";
        case Returned::policy:
            return "policy";
        case Returned::complaint:
            break;
    }
    return "complaint";
}

// The mail ends nothing: in the ledger, so that her story can tell it. `points`: what she has with it; 0: it
// counts nothing. One that says what an earlier one of this letter said is only kept if it counts.
BounceOutcome remark(Transaction& tx, const Person& person, const Letter& letter, Returned returned,
                     bool counts, int points, const std::string& reply, const Rules& rules,
                     const Moment& moment) {
    const std::string evidence = fmt::format(R"({{"reply":{}}})", json_string(reply));
    const std::string of_letter = fmt::format(R"({{"letter":{},)", letter.id);
    const auto events = counts ? std::vector<Event>() : tx.events_of(person.id);
    int remarks = 0;
    for (const Event& event : events) {
        if (event.kind != EventKind::letter_refused && event.kind != EventKind::bounced) continue;
        if (!event.details.starts_with(of_letter)) continue;
        if (event.evidence == evidence || ++remarks >= most_remarks) return BounceOutcome::noted;
    }
    Nonces nonces(moment.seed);
    record(
        tx, rules.keys,
        {EventKind::letter_refused, person.id,
         fmt::format(R"({}"kind":"{}","message_id":{},"came_back":true,"why":"{}","counts":{}{}}})",
                     of_letter, word(letter.kind), json_string(letter.message_id), name_of(returned), counts,
                     points > 0 ? fmt::format(R"(,"points":{},"of":{})", points, too_many_points) : ""),
         fmt::format(R"({{"address":{}}})", json_string(person.address)), evidence},
        moment.now, nonces);
    return BounceOutcome::noted;
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
    const auto told = [&](bool counts, int points = 0) {
        return remark(tx, *person, *letter, returned, counts, points, reply, rules, moment);
    };
    if (returned == Returned::policy) return told(false);

    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person->id);
    if (std::none_of(subscriptions.begin(), subscriptions.end(), gets_mail)) {
        if (returned != Returned::soft &&
            give_up_signup(tx, *person, *letter, reply, rules, moment) == BounceOutcome::undeliverable) {
            return BounceOutcome::undeliverable;
        }
        return told(false);
    }
    if (returned == Returned::hard) return stop_mail(tx, *person, *letter, "hard", reply, rules, moment);

    BounceScore score = tx.bounce_score(person->id);
    if (returned == Returned::perhaps) {
        const DurationMs since = now - score.struck_at;
        if (score.struck_at != 0 && since >= between_strikes && since <= strike_counts_for)
            return stop_mail(tx, *person, *letter, "twice", reply, rules, moment);
        if (score.struck_at != 0 && since < between_strikes) return told(false);
        score.struck_at = now;
        tx.set_bounce_score(score);
        return told(true);
    }
    if (score.scored_at != 0 && now - score.scored_at < between_points) return told(false);
    if (now - score.scored_at > points_count_for) score.points = 0;
    score.scored_at = now;
    if (++score.points >= too_many_points)
        return stop_mail(tx, *person, *letter, "score", reply, rules, moment);
    tx.set_bounce_score(score);
    return told(true, score.points);
}

}  // namespace zgoda::service
