// What a mail that came back does to the person whose letter it was. The caller knows the letter by its
// signed return path (service/verp.h) and what the mail says by the mailer's reading of it.
//
//                  never proven                      proven: a confirmed or paused subscription
//     hard         her signup is undeliverable       bounced, and suppressed (hard_bounce) at once
//     perhaps      the same                          the same at the second one, 1 to 30 days after the first
//     soft         nothing: the outbox tried         a point, at most one a day; at five the same as hard;
//                                                    14 days without one and the count begins anew
//     policy       nothing: it is about the sender, not about her mailbox
//     complaint    complained, and suppressed for good
//
// What ends nothing is in the ledger too, for her story: a letter_refused with `why`, and whether it counts.
// A bounced address may ask again by her own new signup, once the suppression of hard_bounce has ended.
#pragma once

#include <string>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

enum class Returned { hard, perhaps, soft, policy, complaint };

enum class BounceOutcome {
    unknown,        // there is no such letter (any more)
    too_old,        // it was sent more than 30 days ago
    noted,          // nothing changed but perhaps her score
    undeliverable,  // her signup is
    bounced,        // she gets no letters
    complained,
};

// The second time it is told the same, it changes nothing. `reply`: what the server said, printable; it goes
// beside the ledger and into her ticket.
BounceOutcome take_back(Transaction&, Id letter, Returned, const std::string& reply, const Rules&,
                        const Moment&);

}  // namespace zgoda::service
