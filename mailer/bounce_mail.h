#pragma once

// A mail that came back, taken apart: its headers, what it says in words, and the machine-readable parts that
// it may have. MIME, charsets and encodings are undone by GMime, which only bounce_mail.cpp knows.
//
// Takes LF, CRLF and bare CR, alone or mixed. It reads at most 10 levels of parts, 50 parts and 64 KiB of
// text; the rest is as if it were not there. Nothing throws for a broken mail, which has less in it. May be
// called from any thread.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zgoda::mailer {

// Header-like fields in their order: names in lower case, values unfolded, trimmed and UTF-8.
using Fields = std::vector<std::pair<std::string, std::string>>;

// The first field of that name (lower case), or "".
std::string_view field(const Fields&, std::string_view name);

struct ReturnedMail {
    Fields headers;            // none: no mail at all, or headers of more than 64 KiB
    std::string content_type;  // with its parameters
    std::string text;          // what is said to people: UTF-8, LF; of HTML if there is nothing else
    std::vector<Fields> delivery_status;  // blocks of RFC 3464 and 6533; the first is of the message
    std::vector<Fields> enclosed_status;  // the same of a mail that is enclosed
    std::vector<Fields> feedback_report;  // RFC 5965, one block a report
    std::vector<Fields> original;         // headers of the mails that are enclosed
};

ReturnedMail read_returned_mail(std::string_view bytes);

}  // namespace zgoda::mailer
