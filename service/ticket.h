// The ticket that a signup's 202 carries: lets the form ask what became of the letter and try its code, and
// tells nothing else.
//
// Sealed with AES-256-GCM (NIST SP 800-38D), so that tickets with and without a letter cannot be told apart;
// always 84 characters. Needs no row, lives one hour.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/keyring.h"
#include "service/store.h"

namespace zgoda::service {

struct Ticket {
    Id person = 0;
    Id letter = 0;                 // 0: no letter that it could follow
    Id slot = 0;                   // the request under which wrong codes are counted, slot_of()
    TimeMs issued_at = 0;          // when its own request was asked: tells it from the person's others
    std::uint16_t generation = 0;  // of the person at that time
};

std::string seal(const Ticket&, const Nonce& nonce, const Keyring&);  // 12 bytes of the nonce are used
// nullopt: unknown, foreign or expired, which look the same outside.
std::optional<Ticket> unseal(std::string_view text, TimeMs now, const Keyring&);

enum class TicketStatus { queued, sent, deferred, refused };
std::string_view word(TicketStatus);

// How long letters take here from signup to sent, at most and coarsely: no single letter moves it.
DurationMs longest_delay(Reader&);

// The request under which this one's wrong codes are counted: the first of hers whose letter, if there had
// been one, would have been this one's too. It follows from her requests and the mailers' habits alone, and
// so is the same whatever became of them.
Id slot_of(Reader&, const Request&, const std::vector<Request>& earlier, TimeMs now);

// A ticket without a letter answers `queued`, then `sent` after the delay that letters lately had.
TicketStatus ticket_status(Reader&, const Ticket&, TimeMs now);

}  // namespace zgoda::service
