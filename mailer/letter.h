#pragma once

// A letter: the bytes of one message, built and encoded by us (RFC 5322, 2045 to 2047, 3834, 6532, 8058).
//
// The result has CRLF line ends only, no line over 998 octets, and is 7-bit clean; the one exception is the
// local part of a recipient who needs SMTPUTF8. It depends on the Letter alone: a letter sent again is the
// same message, Message-ID and boundary included.

#include <cstdint>
#include <string>
#include <string_view>

namespace zgoda::mailer {

struct Mailbox {
    std::string name;  // as people write it, UTF-8; may be empty
    std::string address;
};

// Addresses have their domain as A-labels, and are ASCII but for the local part of `to`.
struct Letter {
    Mailbox from;
    Mailbox reply_to;  // no address: no Reply-To
    std::string to;    // the bare address: a typed name would make the form a relay for advertising
    std::string subject;
    std::string text;  // any line ends
    std::string html;
    std::string message_id;    // with its angle brackets
    std::int64_t date_ms = 0;  // since 1970, UTC
    std::string language;      // BCP 47 tag
    std::string unsubscribe;   // https URL for List-Unsubscribe; empty: no such header
    bool one_click = false;    // a POST to that URL is enough (RFC 8058)
    std::string feedback_id;   // for Feedback-ID; empty: no such header
};

// Throws std::invalid_argument when a header value holds CR, LF, NUL or another control character, when an
// address could be read as anything but one address, or when something is not UTF-8. Nothing is ever
// stripped: such a value is an attack or a mistake, and the message is not sent.
std::string build_message(const Letter& letter);

// "Sat, 22 Nov 2026 10:00:00 +0000" (RFC 5322 3.3), whatever the locale.
std::string date_header(std::int64_t ms);

}  // namespace zgoda::mailer
