// What is still unanswered: the part of the rules that signing up, confirming, leaving and the outbox share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/client.h"
#include "service/ledger.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// A wish waits for her answer while its request is open, she is not subscribed to it, and she has not left
// (or said no to) that newsletter since she asked.
bool pending(const Request&, const Wish&, const std::vector<Subscription>&);
bool pending(const Request&, const std::vector<Subscription>&);  // any of its wishes

const Subscription* find_subscription(const std::vector<Subscription>&, Id newsletter);

// When this one stops holding letters back by itself: of hard_bounce, 7 days later. nullopt: it does not.
std::optional<TimeMs> ends_at(const Suppression&);

// Suppressed for letters at `now`: complaint, not_me, never_again, admin, and hard_bounce for 7 days;
// `erased` only refuses imports.
bool suppressed(Reader&, std::string_view addr_key, const Keyring&, TimeMs now);
bool suppressed(Reader&, const std::vector<Suppression>& keys, TimeMs now);  // of suppression_keys()

// Who has a letter sent to whom, as the mail budget counts it: keyed hashes, which a signup has made before
// its turn in the store.
struct Cause {
    std::string network;     // the client's
    std::uint64_t hash = 0;  // of it
    std::string veiled;      // where veil_budget() has put what was sent to this mailbox
};
Cause cause_of(const Keyring&, const std::string& abuse_key, std::string network);

// A new letter for this person, due at once if the budget allows one to this cause (and then paid for), else
// when it will.
Letter enqueue(Transaction&, const Person&, LetterKind, const std::string& locale, const Cause&, const Rules&,
               TimeMs now, Nonces&);
// A new letter that is due at once and asks no budget.
Letter enqueue_over_budget(Transaction&, const Person&, LetterKind, const std::string& locale, const Rules&,
                           TimeMs now, Nonces&);

// The letters that a newsletter's own settings (`welcome`, `goodbye`) ask for: one for each of these
// newsletters that has the text in the person's language, at most one of a kind and newsletter a day. The
// mail budget does not count them: only her own proven act causes one. Call it in the unit of that act, after
// the person and her subscriptions have been updated.
void enqueue_welcome(Transaction&, const Person&, const std::vector<Id>& newsletters, const Rules&,
                     TimeMs now, Nonces&);
void enqueue_goodbye(Transaction&, const Person&, const std::vector<Id>& newsletters, const Rules&,
                     TimeMs now, Nonces&);

// Pays for a letter that waits for the budget, if it allows one to this cause now. Changes the letter, not
// its row.
bool pay(Transaction&, const Person&, Letter&, const Cause&, const Rules&, TimeMs now);
// Somebody who is erased had asked for letters to this address, which nobody here has: what it was sent goes
// on counting, under a keyed hash in place of the address, so that erasing oneself makes no room for more.
void veil_budget(Transaction&, const std::string& abuse_key, const Rules&);
TimeMs budget_allows_at(Reader&, const Person&, const Cause&, const Rules&, TimeMs now);

// If the person has open requests without a letter, and no confirmation is under way: enqueues one for them.
void enqueue_waiting(Transaction&, const Person&, const Rules&, TimeMs now, Nonces&);

// A paused subscription is confirmed again; `method` says how, for the ledger ("time" when nobody did it).
void resume(Transaction&, const Person&, Subscription, std::string_view method, const Client&, const Rules&,
            TimeMs now, Nonces&);

// Cancels the person's open confirmation letters that have nothing left to ask. One that a mailer holds is
// left alone.
void cancel_idle_letters(Transaction&, Id person);

// {"id":7,"slug":"daily"}, as events name a newsletter in their details.
std::string newsletter_json(const Newsletters&, Id newsletter);
std::string json_string(std::string_view);  // quoted and escaped
std::string evidence_json(std::string_view ip, std::string_view user_agent);

}  // namespace zgoda::service
