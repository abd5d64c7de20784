#pragma once

#include <string>
#include <string_view>
#include <variant>

// Is this something that a letter can be sent to, and who is it? One function turns what a person typed into
// an EmailAddress or into the first thing that is wrong with it. The grammar is narrower than RFC 5321 (no
// quoted local parts, no literals, no comments) and wider than the browsers' (RFC 6531 local parts, IDN by
// IDNA 2008).
//
// Pure functions of their arguments: no DNS, no locale, no state; any thread may call them at any time.
namespace zgoda::service {

// All strings are UTF-8 in NFC and hold exactly one '@', no control character, no space and none of
// <>"(),:;[]\ . Checking `address` or `envelope` again, by the same rules, accepts them and gives the same
// value.
struct EmailAddress {
    std::string address;   // to show: local part as typed, domain in lower-case U-labels
    std::string envelope;  // for SMTP: local part as typed, domain in lower-case A-labels
    std::string addr_key;  // who it is, UNIQUE in the database: the envelope, local part in lower case

    // For budgets and limits only, never for identity or sending: one value for all the spellings of a
    // mailbox that big providers deliver to one person (plus tags, Gmail's dots, domains of the same house).
    std::string abuse_key;

    // The local part is not ASCII: only a relay with SMTPUTF8 (RFC 6531) can take it.
    bool needs_smtputf8 = false;
};

// The first rule that the address breaks, in the order in which the rules are tried. The names are words of
// the HTTP API.
enum class AddressProblem {
    empty,
    bad_utf8,
    too_long,  // more than 254 octets, RFC 5321 4.5.3.1.3
    control_char,
    no_at,
    wide_at,  // a full-width or small '@' (U+FF20, U+FE6B) where an ASCII one is wanted
    display_name,
    quoted_local,
    many_at,
    local_empty,
    domain_empty,
    comment,
    domain_literal,
    local_char,
    local_non_ascii,
    local_script,  // letters of several scripts, as in "p\u0430ypal" with a Cyrillic a
    local_dot,
    local_too_long,  // more than 64 octets
    domain_dot,
    domain_char,
    label_too_long,
    domain_too_long,
    domain_hyphen,
    domain_hyphen34,
    domain_idn,  // IDNA 2008 (RFC 5891) or the bidi rule (RFC 5893) forbids it
    domain_single_label,
    tld,
    special_use,  // RFC 6761, 7686, 9476: nobody can have mail there
};

// The enumerator's own name, for the API.
std::string_view code(AddressProblem problem);

struct AddressRules {
    bool smtputf8 = true;             // accept local parts that are not ASCII
    bool allow_test_domains = false;  // accept the top-level domains .test and .example (RFC 2606)

    // Drop ASCII white space around the address, which telephones add after a completion. Off, it is refused
    // like any other; the invisible junk of copy and paste and a leading "mailto:" are dropped in both cases.
    bool trim_spaces = false;
};

std::variant<EmailAddress, AddressProblem> check_address(std::string_view typed,
                                                         const AddressRules& rules = {});

}  // namespace zgoda::service
