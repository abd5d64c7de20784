// The six digits of a confirmation letter: a way to confirm without leaving the page of the form.
//
// HMAC-SHA256(key of the letter, letter id), so it needs no row. Lives 30 minutes from the letter's first
// lease, and dies of 5 wrong ones. Whoever has only the ticket learns nothing: wrong codes of an address that
// got no letter are counted and answered as those of one that did.
#pragma once

#include <string>
#include <string_view>

#include "service/client.h"
#include "service/rules.h"
#include "service/store.h"
#include "service/ticket.h"

namespace zgoda::service {

std::string confirmation_code(Id letter, int key_id, const Keyring&);

struct CodeOutcome {
    enum class Kind {
        confirmed,  // by this code, now or before
        wrong,      // `tries_left` says how often she may try again
        dead,       // too old, tried too often, or answered otherwise; the link in the letter may still live
        too_many,   // wrong codes for this mailbox today, over all its letters
    } kind = Kind::dead;
    int tries_left = 0;
    DurationMs retry_after = 0;
};

// One try with the code that was typed (blanks in it do not count). The right one confirms what the ticket's
// own request asked for and is still pending; what others asked for meanwhile stays as it is.
CodeOutcome try_code(Transaction&, const Ticket&, std::string_view typed, const Client&, const Rules&,
                     const Moment&);

}  // namespace zgoda::service
