// The outbox: which letters are due, who may send them, and what became of them.
//
// A mailer leases letters in one unit of work, sends them, and records each result in another. The first
// lease of a letter freezes its newsletters, language and expiry. The letters of a mailer that died are due
// again at the next lease. What a letter is made from is all here; building it is the mailer's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// Everything that a letter is made from.
struct LeasedLetter {
    Letter letter;
    Person person;
    struct Named {
        Id newsletter = 0;
        std::string slug, name;
        std::string text;                         // welcome, goodbye: what the newsletter says in it
        std::string unsubscribe_token;            // "" if there is no subscription
        std::optional<TimeMs> paused_until = {};  // already_subscribed: asked for again while paused
    };
    std::vector<Named> newsletters;
    std::string from, reply_to;  // settings of the first newsletter; "" means the installation's
    TimeMs asked_at = 0;         // of the first request
    std::string confirm_token;   // confirmation; also opens "this was not me". address_change: asks this end.
                                 // already_subscribed: ends the pauses that there are
    std::string code;            // confirmation: six digits, service/code.h
    std::string preferences_token;  // preference_link

    // address_change. `person` above is then whom the letter goes to.
    enum class ChangePart {
        ask_old,  // do you want to leave this address?
        ask_new,  // do you want to be reached here?
        taken,    // to the new end: somebody proven has this address already, nothing will change
        done,     // to the old end: it is done, and can be taken back
    } change_part = ChangePart::ask_old;
    std::string old_address, new_address;  // masked
    std::string undo_token;                // done
};

// Up to `limit` due letters, of no rank() behind `lowest_rank`, now leased by this mailer. On the way: frees
// the leases of dead mailers (`alive` tells) and others' that are older than the cap, ends pauses whose time
// has come, lets requests lapse that waited too long, pays letters that waited for the budget, expires
// letters whose time ran out and cancels those that have nothing left to say. The link of a preference_link
// lives for an hour from its first lease, others for rules.link_life.
std::vector<LeasedLetter> lease(Transaction&, const std::string& mailer, std::size_t limit,
                                const std::function<bool(const std::string&)>& alive, const Rules&,
                                const Moment&, int lowest_rank = 2);

// Is there anything for lease() to do? Asked first, so that an idle mailer writes nothing.
bool work_waits(Reader&, const std::function<bool(const std::string&)>& alive, const Rules&, TimeMs now);

// Is the letter still leased by this mailer, within the cap? Asked right before MAIL.
bool still_leased(Reader&, Id letter, const std::string& mailer, const Rules&, TimeMs now);

struct Result {
    enum class Kind { delivered, try_later, refused, uncertain, given_back } kind = Kind::delivered;
    std::string reply;             // the server's own last words, printable
    TimeMs next_attempt_at = 0;    // try_later, uncertain
    bool counts = true;            // try_later: an attempt of the letter, not trouble of the relay
    bool mailbox_unknown = false;  // refused: there is no such mailbox or domain
};

// Records what became of a leased letter. A letter that is no longer this mailer's is left alone unless it
// was delivered. given_back: not tried; due again at once. What would be due after the link's life expires
// instead. The requests that waited for a letter lapse when it ends unsent. An uncertain letter goes once
// more; uncertain again, it counts as sent.
void record_result(Transaction&, Id letter, const std::string& mailer, const Result&, const Rules&,
                   const Moment&);

// The letter was refused for good, by the relay or by a mail that came back: it ends, with the requests that
// waited for it; what it asked to confirm becomes undeliverable.
void refuse(Transaction&, const Person&, Letter, const Rules&, TimeMs now, Nonces&);

// Whether the clock was set back since a mailer ran, by more than clocks differ.
bool was_set_back(const MailerNote&, TimeMs now);

// A mailer writes down that it ran at most this often, so that an idle one writes hardly ever: the last run
// was at MailerNote::last_run_at or up to this much later.
constexpr DurationMs note_runs_every = 5 * minute_ms;

// A mailer ran, whether or not there was anything to do. If the clock was set back meanwhile, all letters
// that wait are due: their times were of the clock as it was.
void note_run(Transaction&, TimeMs now);

// That a run found the relay in trouble, or ("") that it takes letters.
void note_relay(Transaction&, const std::string& trouble, TimeMs now);

}  // namespace zgoda::service
