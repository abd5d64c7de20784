// The ticket that a signup's 202 carries: lets the form ask what became of the letter, and tells nothing
// else.
//
// Sealed with AES-256-GCM (NIST SP 800-38D) over letter id (0: none) and time, so that tickets with and
// without a letter cannot be told apart; always 60 characters. Needs no row, lives one hour.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/keyring.h"
#include "service/store.h"

namespace zgoda::service {

struct Ticket {
    Id letter = 0;  // 0: the request led to no letter
    TimeMs issued_at = 0;
};

std::string seal(const Ticket&, const Nonce& nonce, const Keyring&);  // 12 bytes of the nonce are used
// nullopt: unknown, foreign or expired, which look the same outside.
std::optional<Ticket> unseal(std::string_view text, TimeMs now, const Keyring&);

enum class TicketStatus { queued, sent, deferred, refused };
std::string_view word(TicketStatus);

// A ticket without a letter answers `queued`, then `sent` after the delay that letters lately had.
TicketStatus ticket_status(Reader&, const Ticket&, TimeMs now);

}  // namespace zgoda::service
