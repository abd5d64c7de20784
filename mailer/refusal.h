#pragma once

// What a server meant by refusing a recipient for good (RFC 3463, and the words that servers really use).

#include <string_view>

namespace zgoda::mailer {

// Whether a 5xx reply says that this mailbox or its domain does not exist. Words about the sender (spam,
// policy, authentication ...), about a full or a disabled mailbox win over everything else: those are not the
// same. `reply` is the whole reply, its lines joined, as in "550 5.1.1 <ada@example.org>: user unknown".
bool says_mailbox_unknown(std::string_view reply);

}  // namespace zgoda::mailer
