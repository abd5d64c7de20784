#include "mailer/refusal.h"

#include <regex>
#include <string>

namespace zgoda::mailer {
namespace {

std::regex words(const char* pattern) {
    return std::regex(pattern, std::regex::icase | std::regex::optimize);
}

}  // namespace

bool says_mailbox_unknown(std::string_view reply) {
    static const std::regex quoted_address("<[^>]*>");
    static const std::regex not_about_existence = words(
        "\\b(spam|blocked|block ?list|blacklist|reputation|policy|dmarc|dkim|spf\\b|authenticat|reverse "
        "dns|rdns|"
        "ptr\\b|virus|rate\\b|too many|throttl|greylist|"
        "(over ?)?quota|full mailbox|mailbox.{0,12}full|exceeded storage|insufficient storage|"
        "disabled|suspended|inactive|deactivated|not activated)");
    static const std::regex does_not_exist = words(
        "user unknown|unknown user|no such (user|recipient|mailbox|address|person|account|domain|host)|"
        "does ?n[o']t exist|unknown (local|recipient|address|mailbox)|recipient (address )?unknown|"
        "unrouteable address|invalid (recipient|mailbox|user)|mailbox not found|no mailbox|"
        "not (our|a valid) (customer|user|mailbox|recipient)|addressee unknown|user not found|"
        "account .*(closed|deleted|terminated)|host unknown|name not found|null ?mx|does not accept mail");
    // RFC 3463 and its registry: bad mailbox, bad domain, bad syntax, ambiguous, moved, null MX, list that
    // cannot be expanded, and (RFC 7293) a mailbox or domain with a new owner.
    static const std::regex code("^5[0-9]{2} (5\\.1\\.[12346]|5\\.1\\.10|5\\.2\\.4|5\\.7\\.1[78])\\b");

    // What the server repeats of the address is not its opinion.
    const std::string text = std::regex_replace(std::string(reply.substr(0, 500)), quoted_address, "");
    if (!text.starts_with('5') || std::regex_search(text, not_about_existence)) return false;
    return std::regex_search(text, does_not_exist) || std::regex_search(text, code);
}

}  // namespace zgoda::mailer
