// Signing up: from what a form posted to a subscription that waits for its confirmation.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "service/client.h"
#include "service/pending.h"
#include "service/rules.h"
#include "service/store.h"
#include "service/ticket.h"

namespace zgoda::service {

// A form post, parsed but not judged.
struct SignupForm {
    std::string email;
    std::vector<std::string> newsletters;
    std::string name;
    std::string locale;
    std::string accept_language;
    std::vector<std::pair<std::string, std::string>> fields;  // values as text; the newsletter's type decides
    std::string source;
    std::string form;
    std::vector<std::string> consent;
    std::string website;  // the honeypot
    std::string browser;  // SHA-256 (hex) of a secret that her browser keeps; only from pages of our own
    Client client;
};

struct FieldProblem {
    std::string pointer;  // JSON pointer, RFC 6901: "/email", "/fields/city"
    std::string code;
    std::string detail;  // a sentence for the reader, in her language
};

struct Refusal {
    std::vector<FieldProblem> problems;
    std::optional<std::string> suggestion;  // an address that she may have meant
    std::string locale;
};

// A form post that may be stored: its address is right, its sizes are within bounds.
struct Signup {
    SignupForm form;  // trimmed; source without query and fragment
    EmailAddress address;
    std::optional<std::string> suggestion;
    Cause cause;                                // for this address and the client's network
    std::vector<Suppression> suppression_keys;  // of the address
    // For the ledger, made before the turn in the store: what she typed, but for the closing values of the
    // newsletters' own fields; and where it came from.
    std::string identity, evidence;
};

// The checks that need no database: address, sizes, count of newsletters, source.
std::variant<Signup, Refusal> check_signup(SignupForm, const Rules&);

// What became of a signup. Whatever the state of the address, an accepted one looks the same outside.
struct SignupOutcome {
    enum class Kind { accepted, no_open_newsletter, refused } kind = Kind::accepted;
    Ticket ticket;
    std::string locale;
    std::string message;               // what the reader is told
    std::string thanks_url;            // of the first newsletter, or ""
    std::string newsletter;            // slug of the first one that was accepted
    std::vector<std::string> skipped;  // slugs asked for that are not open
    std::vector<FieldProblem> problems;
};

// The unit of work. Commits at least one row for every accepted request. A new or pending address gets one
// confirmation letter (or joins one that was never leased), a confirmed one an `already_subscribed` letter,
// within the mail budget; over it the request waits. A suppressed person and a filled honeypot get none.
// Changes nothing that is already hers: typed data stays with the request.
SignupOutcome subscribe(Transaction&, const Signup&, const Rules&, const Moment&);

// Sends the confirmation of what is still unanswered again: for the expired link's page (unproven, so within
// the budget) and for the admin (service/desk.h), for whom `over_budget` skips it and the retry schedule.
enum class Resent {
    queued,     // a letter was made, or the one that waited for the budget may go
    sooner,     // one was under way already, and is due at once
    under_way,  // one was under way already; nothing changed
    waits_for_budget,
    nothing_pending,
    suppressed,
};
Resent resend(Transaction&, Id person, std::string_view network, bool over_budget, const Rules&,
              const Moment&);

}  // namespace zgoda::service
