#include "service/outbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "service/address_change.h"
#include "service/code.h"
#include "service/confirmation.h"
#include "service/ledger.h"
#include "service/mail_pause.h"
#include "service/pending.h"
#include "service/preferences.h"
#include "service/token.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

constexpr std::size_t sweep_limit = 500;

std::string identity_json(const Person& person) {
    return fmt::format(R"({{"address":{}}})", json_string(person.address));
}

void lapse(Transaction& tx, const Person& person, Request request, std::string_view why, const Rules& rules,
           TimeMs now, Nonces& nonces) {
    request.state = RequestState::lapsed;
    tx.update(request);
    record(tx, rules.keys,
           {EventKind::lapsed, person.id, fmt::format(R"({{"request":{},"why":"{}"}})", request.id, why),
            identity_json(person), ""},
           now, nonces);
}

std::optional<AddressChange> change_of(Reader& reader, const Letter& letter) {
    return letter.change ? reader.address_change(*letter.change) : std::nullopt;
}

// Ends a letter that will never go, with the requests that waited for it. A change of address is left as it
// is: what became of the letter to its new end is nothing that the old one may learn.
void end_letter(Transaction& tx, const Person& person, Letter& letter, LetterState state,
                std::string_view why, const Rules& rules, TimeMs now, Nonces& nonces) {
    letter.state = state;
    letter.leased_by.clear();
    letter.leased_at.reset();
    tx.update(letter);
    if (letter.kind == LetterKind::confirmation) {
        for (const Request& request : tx.requests_of(person.id)) {
            if (request.letter == letter.id && request.state == RequestState::open) {
                lapse(tx, person, request, why, rules, now, nonces);
            }
        }
        enqueue_waiting(tx, person, rules, now, nonces);
    }
}

void free_lease(Transaction& tx, Letter& letter, TimeMs now) {
    letter.state = letter.attempts == 0 ? LetterState::queued : LetterState::deferred;
    letter.leased_by.clear();
    letter.leased_at.reset();
    letter.due_at = std::min(letter.due_at, now);
    tx.update(letter);
}

bool lease_ended(const Letter& letter, const std::function<bool(const std::string&)>& alive,
                 const Rules& rules, TimeMs now) {
    if (letter.leased_at.value_or(0) + rules.lease_cap < now) return true;
    return !alive(letter.leased_by);
}

// The newsletters that a confirmation asks about, in the order in which they were asked for.
std::vector<Id> asked_by(const std::vector<Request>& requests, Id letter,
                         const std::vector<Subscription>& subscriptions) {
    std::vector<Id> out;
    for (const Request& request : requests) {
        if (request.letter != letter) continue;
        for (const Wish& wish : request.wishes) {
            if (pending(request, wish, subscriptions) &&
                std::find(out.begin(), out.end(), wish.newsletter) == out.end()) {
                out.push_back(wish.newsletter);
            }
        }
    }
    return out;
}

// The newsletters that a letter names; nullopt if it has nothing left to say.
std::optional<std::vector<Id>> named_by(const Letter& letter, const std::vector<Request>& requests,
                                        const std::vector<Subscription>& subscriptions,
                                        const Newsletters& newsletters) {
    std::vector<Id> ids = letter.newsletters;
    switch (letter.kind) {
        case LetterKind::preference_link:
        case LetterKind::address_change:
            return ids;
        case LetterKind::confirmation:
            ids = asked_by(requests, letter.id, subscriptions);
            break;
        case LetterKind::already_subscribed:
            break;
        case LetterKind::welcome:
        case LetterKind::goodbye:
            std::erase_if(ids, [&](Id id) {
                const Newsletter* newsletter = newsletters.find(id);
                const Subscription* one = find_subscription(subscriptions, id);
                if (newsletter == nullptr || newsletter->setting(word(letter.kind), letter.locale).empty())
                    return true;
                if (one == nullptr) return true;
                return letter.kind == LetterKind::goodbye ? one->status != SubscriptionStatus::unsubscribed
                                                          : one->status != SubscriptionStatus::confirmed;
            });
            break;
    }
    if (ids.empty()) return std::nullopt;
    return ids;
}

// A letter waits for the budget as long as the youngest request that it asks about may.
TimeMs lapses_at(const Letter& letter, const std::vector<Request>& requests, const Rules& rules) {
    std::optional<TimeMs> asked_at;
    for (const Request& request : requests) {
        if (request.letter == letter.id && request.state == RequestState::open)
            asked_at = std::max(asked_at, std::optional(request.asked_at));
    }
    return asked_at.value_or(letter.created_at) + rules.budget_wait;
}

std::string confirm_token(const Person& person, const Letter& letter, const Rules& rules) {
    Token token;
    token.purpose = TokenPurpose::confirm;
    token.a = person.id;
    token.b = letter.id;
    token.generation = person.generation;
    token.expires_at = letter.expires_at;
    return sign(token, rules.keys, letter.key_id);
}

std::optional<LeasedLetter> lease_one(Transaction& tx, Letter letter, const std::string& mailer,
                                      const Rules& rules, TimeMs now, Nonces& nonces) {
    const auto cancel = [&] {
        letter.state = LetterState::cancelled;
        tx.update(letter);
    };
    const auto owner = tx.person(letter.person);
    if (!owner) {
        cancel();
        return std::nullopt;
    }
    const auto change = change_of(tx, letter);
    const Person person = addressee(tx, *owner, letter);
    if (letter.expires_at && *letter.expires_at <= now) {
        end_letter(tx, person, letter, LetterState::expired, "expired", rules, now, nonces);
        return std::nullopt;
    }
    std::vector<Request> requests = tx.requests_of(person.id);
    // Whether or not a mailer came by when its time was up.
    if (!letter.budgeted) {
        if (now >= lapses_at(letter, requests, rules)) {
            end_letter(tx, person, letter, LetterState::expired, "budget", rules, now, nonces);
            return std::nullopt;
        }
        for (const Request& request : requests) {
            if (request.letter == letter.id && request.state == RequestState::open &&
                request.asked_at + rules.budget_wait <= now)
                lapse(tx, person, request, "budget", rules, now, nonces);
        }
        requests = tx.requests_of(person.id);
    }
    const auto newsletters = tx.newsletters();
    const std::vector<Subscription> subscriptions = tx.subscriptions_of(person.id);
    const auto named = named_by(letter, requests, subscriptions, *newsletters);
    const auto part = change_part(tx, letter, now);
    if (suppressed(tx, person.addr_key, rules.keys, now) || !named ||
        (letter.kind == LetterKind::address_change && !part)) {
        cancel();
        return std::nullopt;
    }
    if (!letter.budgeted) {
        const Cause cause = cause_of(rules.keys, person.abuse_key, letter.network);
        if (!pay(tx, person, letter, cause, rules, now)) {
            letter.due_at =
                std::min(budget_allows_at(tx, person, cause, rules, now), lapses_at(letter, requests, rules));
            tx.update(letter);
            return std::nullopt;
        }
    }

    if (!letter.first_leased_at) {
        letter.first_leased_at = now;
        letter.expires_at = now + rules.link_life;
        if (letter.kind == LetterKind::preference_link) letter.expires_at = now + preferences_life;
        if (part == LeasedLetter::ChangePart::done) letter.expires_at = *change->done_at + take_back_life;
        letter.key_id = rules.keys.newest();
        letter.newsletters = *named;
    }
    letter.state = LetterState::leased;
    letter.leased_by = mailer;
    letter.leased_at = now;
    tx.update(letter);

    LeasedLetter leased;
    for (const Id id : letter.newsletters) {
        const Newsletter* newsletter = newsletters->find(id);
        if (newsletter == nullptr) continue;
        LeasedLetter::Named one{id, newsletter->slug, newsletter->name(letter.locale), "", "", {}};
        if (letter.kind == LetterKind::welcome || letter.kind == LetterKind::goodbye)
            one.text = newsletter->setting(word(letter.kind), letter.locale);
        const Subscription* subscription = find_subscription(subscriptions, id);
        if (subscription != nullptr && letter.kind != LetterKind::goodbye)
            one.unsubscribe_token = unsubscribe_token(subscription->id, rules, letter.key_id);
        if (letter.kind == LetterKind::already_subscribed && subscription != nullptr &&
            subscription->status == SubscriptionStatus::paused)
            one.paused_until = subscription->paused_until;
        if (leased.newsletters.empty()) {
            leased.from = newsletter->setting("from");
            leased.reply_to = newsletter->setting("reply_to");
        }
        leased.newsletters.push_back(std::move(one));
    }
    leased.asked_at = letter.created_at;
    for (const Request& request : requests) {
        if (request.letter == letter.id) {
            leased.asked_at = request.asked_at;
            break;
        }
    }
    switch (letter.kind) {
        case LetterKind::confirmation:
            leased.confirm_token = confirm_token(person, letter, rules);
            leased.code = confirmation_code(letter.id, letter.key_id, rules.keys);
            break;
        case LetterKind::preference_link:
            leased.preferences_token = preferences_token(person, letter, rules);
            break;
        case LetterKind::address_change:
            leased.change_part = *part;
            leased.old_address = masked(change->from.address);
            leased.new_address = masked(change->to.address);
            leased.asked_at = change->asked_at;
            if (*part == LeasedLetter::ChangePart::done) {
                leased.undo_token = address_undo_token(*change, rules, letter.key_id);
            } else if (*part != LeasedLetter::ChangePart::taken) {
                leased.confirm_token = confirm_token(person, letter, rules);
            }
            break;
        case LetterKind::already_subscribed:
            if (std::any_of(leased.newsletters.begin(), leased.newsletters.end(),
                            [](const auto& one) { return one.paused_until.has_value(); }))
                leased.confirm_token = confirm_token(person, letter, rules);
            break;
        case LetterKind::welcome:
        case LetterKind::goodbye:
            break;
    }
    leased.person = person;
    leased.letter = std::move(letter);
    return leased;
}

// What the mailers lately took from signup to sent, for tickets that have no letter.
void note_delay(Transaction& tx, const Letter& letter, TimeMs now) {
    if (letter.attempts != 0 || letter.first_leased_at.value_or(now) < letter.due_at) return;
    MailerNote note = tx.mailer_note();
    const DurationMs delay = std::max<DurationMs>(1, now - letter.due_at);
    const DurationMs smoothed = note.usual_delay == 0 ? delay : (note.usual_delay * 7 + delay) / 8;
    // Written only when it says something else: a letter has enough to write.
    if (std::abs(smoothed - note.usual_delay) * 10 < note.usual_delay) return;
    note.usual_delay = smoothed;
    tx.note_mailer(note);
}

}  // namespace

std::vector<LeasedLetter> lease(Transaction& tx, const std::string& mailer, std::size_t limit,
                                const std::function<bool(const std::string&)>& alive, const Rules& rules,
                                const Moment& moment, int lowest_rank) {
    const TimeMs now = moment.now;
    Nonces nonces(moment.seed);
    const auto pauses = tx.mail_pauses();
    if (mail_stopped(pauses)) return {};
    for (Letter& letter : tx.leased_letters()) {
        if (letter.leased_by != mailer && lease_ended(letter, alive, rules, now)) free_lease(tx, letter, now);
    }
    for (const Request& request : tx.waiting_requests(now - rules.budget_wait, sweep_limit)) {
        if (const auto person = tx.person(request.person)) {
            lapse(tx, *person, request, "budget", rules, now, nonces);
        }
    }
    resume_ended_pauses(tx, rules, now, nonces);
    std::vector<LeasedLetter> leased;
    while (leased.size() < limit) {
        // Each letter that comes up here is leased, put off or ended, so the next look finds others.
        const std::vector<Letter> due = tx.due_letters(now, limit - leased.size());
        if (due.empty()) break;
        for (const Letter& letter : due) {
            if (rank(letter.kind) > lowest_rank) return leased;
            if (hold(tx, letter, pauses)) continue;
            if (auto one = lease_one(tx, letter, mailer, rules, now, nonces))
                leased.push_back(std::move(*one));
        }
    }
    return leased;
}

bool work_waits(Reader& reader, const std::function<bool(const std::string&)>& alive, const Rules& rules,
                TimeMs now) {
    if (mail_stopped(reader.mail_pauses())) return false;
    if (!reader.due_letters(now, 1).empty()) return true;
    if (!reader.waiting_requests(now - rules.budget_wait, 1).empty()) return true;
    if (!reader.ended_pauses(now, 1).empty()) return true;
    const std::vector<Letter> leased = reader.leased_letters();
    return std::any_of(leased.begin(), leased.end(),
                       [&](const Letter& letter) { return lease_ended(letter, alive, rules, now); });
}

bool still_leased(Reader& reader, Id id, const std::string& mailer, const Rules& rules, TimeMs now) {
    const auto letter = reader.letter(id);
    return letter && letter->state == LetterState::leased && letter->leased_by == mailer &&
           letter->leased_at.value_or(0) + rules.lease_cap >= now;
}

namespace {

void count_result(Transaction& tx, const Result& result) {
    MailerNote note = tx.mailer_note();
    switch (result.kind) {
        case Result::Kind::delivered:
            ++note.delivered;
            break;
        case Result::Kind::refused:
            ++note.refused;
            break;
        case Result::Kind::uncertain:
            ++note.uncertain;
            break;
        case Result::Kind::try_later:
            if (!result.counts) return;
            ++note.later;
            break;
        case Result::Kind::given_back:
            return;
    }
    tx.note_mailer(note);
}

}  // namespace

void record_result(Transaction& tx, Id id, const std::string& mailer, const Result& result,
                   const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    Nonces nonces(moment.seed);
    auto letter = tx.letter(id);
    if (!letter) return;  // erased meanwhile
    const auto owner = tx.person(letter->person);
    if (!owner) return;
    const Person person = addressee(tx, *owner, *letter);
    const bool mine = letter->state == LetterState::leased && letter->leased_by == mailer;
    if (!mine && result.kind != Result::Kind::delivered) return;
    if (letter->state != LetterState::sent) count_result(tx, result);

    Result::Kind kind = result.kind;
    if (kind == Result::Kind::uncertain && letter->uncertain >= 1) kind = Result::Kind::delivered;
    letter->reply = result.reply;
    switch (kind) {
        case Result::Kind::delivered: {
            if (letter->state == LetterState::sent) return;
            letter->state = LetterState::sent;
            letter->sent_at = now;
            letter->leased_by.clear();
            letter->leased_at.reset();
            note_delay(tx, *letter, now);
            tx.update(*letter);
            const std::string_view certain = result.kind == kind ? "true" : "false";
            record(tx, rules.keys,
                   {EventKind::letter_sent, person.id,
                    fmt::format(R"({{"letter":{},"kind":"{}","message_id":{},"certain":{}}})", letter->id,
                                word(letter->kind), json_string(letter->message_id), certain),
                    identity_json(person), fmt::format(R"({{"reply":{}}})", json_string(letter->reply))},
                   now, nonces);
            if (letter->kind == LetterKind::confirmation) enqueue_waiting(tx, person, rules, now, nonces);
            return;
        }
        case Result::Kind::refused: {
            letter->mailbox_unknown = result.mailbox_unknown;
            refuse(tx, person, *letter, rules, now, nonces);
            return;
        }
        case Result::Kind::try_later:
        case Result::Kind::uncertain: {
            if (result.counts) ++letter->attempts;
            if (kind == Result::Kind::uncertain) ++letter->uncertain;
            if (letter->expires_at && result.next_attempt_at >= *letter->expires_at) {
                end_letter(tx, person, *letter, LetterState::expired, "expired", rules, now, nonces);
                return;
            }
            letter->state = kind == Result::Kind::uncertain ? LetterState::uncertain : LetterState::deferred;
            letter->due_at = result.next_attempt_at;
            letter->leased_by.clear();
            letter->leased_at.reset();
            tx.update(*letter);
            return;
        }
        case Result::Kind::given_back:
            free_lease(tx, *letter, now);
            return;
    }
}

void refuse(Transaction& tx, const Person& person, Letter letter, const Rules& rules, TimeMs now,
            Nonces& nonces) {
    record(tx, rules.keys,
           {EventKind::letter_refused, person.id,
            fmt::format(R"({{"letter":{},"kind":"{}","message_id":{}{}}})", letter.id, word(letter.kind),
                        json_string(letter.message_id), letter.sent_at ? R"(,"came_back":true)" : ""),
            identity_json(person), fmt::format(R"({{"reply":{}}})", json_string(letter.reply))},
           now, nonces);
    if (letter.kind == LetterKind::confirmation) {
        for (Subscription& subscription : tx.subscriptions_of(person.id)) {
            const bool named = std::find(letter.newsletters.begin(), letter.newsletters.end(),
                                         subscription.newsletter) != letter.newsletters.end();
            if (!named || subscription.status != SubscriptionStatus::pending) continue;
            subscription.status = SubscriptionStatus::undeliverable;
            tx.update(subscription);
        }
    }
    end_letter(tx, person, letter, LetterState::refused, "refused", rules, now, nonces);
}

bool was_set_back(const MailerNote& note, TimeMs now) {
    return now + minute_ms < note.last_run_at;
}

void note_run(Transaction& tx, TimeMs now) {
    MailerNote note = tx.mailer_note();
    if (was_set_back(note, now)) {
        constexpr Id last = std::numeric_limits<Id>::max();
        for (auto waiting = tx.open_letters(now, last, sweep_limit); !waiting.empty();
             waiting = tx.open_letters(now, last, sweep_limit)) {
            for (Letter& letter : waiting) {
                letter.due_at = now;
                tx.update(letter);
            }
        }
    }
    note.last_run_at = now;
    tx.note_mailer(note);
}

void note_relay(Transaction& tx, const std::string& trouble, TimeMs now) {
    MailerNote note = tx.mailer_note();
    if (trouble.empty() || note.relay_trouble.empty()) note.trouble_since = trouble.empty() ? 0 : now;
    note.relay_trouble = trouble;
    tx.note_mailer(note);
}

}  // namespace zgoda::service
