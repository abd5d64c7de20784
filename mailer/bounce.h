#pragma once

// What came back? A returned mail is told from a complaint, a vacation answer and the rest, and each
// recipient that it speaks of gets a verdict: delivery status notifications (RFC 3464, 6533), complaints (RFC
// 5965), and bounces that only have words. It decides by the bytes alone, and anybody can send such bytes:
// whoever acts on a verdict must know by something else (a signed return path) which letter it is about.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mailer/bounce_rules.h"

namespace zgoda::mailer {

enum class BounceVerdict {
    hard,       // there is no such mailbox or domain
    soft,       // not delivered, perhaps another time; or still under way
    inactive,   // the mailbox is disabled or suspended
    quota,      // the mailbox is full
    policy,     // the trouble is ours: the letter, the sender, or the network that it came from
    complaint,  // somebody reported the letter
    none,       // nothing was refused: delivered, an automatic answer, a person's mail
};
std::string_view name_of(BounceVerdict);

struct BouncedRecipient {
    std::string address;  // as the mail gives it; "" if it does not
    std::string status;   // enhanced, RFC 3463: "5.1.1"; "" if none is given
    std::string reply;    // SMTP: "550"; "" if none is given
    BounceVerdict verdict = BounceVerdict::none;
    bool perhaps_hard =
        false;          // soft, but refused for good in words that nobody knows: hard at the second time
    std::string words;  // the refusing server's own, on one line; printable; "" if none are given
};

struct Bounce {
    enum class Kind { status, text, complaint, vacation, challenge, other };
    Kind kind = Kind::other;
    std::string feedback_type;  // of a complaint, RFC 5965: "abuse"; "" if it says none
    // Local parts that may name the letter, with their domains: of those whom the mail was delivered to, and
    // of the return paths of mails that it encloses. Anybody can write them: they prove nothing unless they
    // are signed.
    std::vector<std::string> return_paths;
    std::vector<BouncedRecipient> recipients;  // in the order of the mail: 1 to 50
};

// What of a mail is looked at, in bytes: what tells of a delivery stands in front of the returned copy.
inline constexpr std::size_t longest_bounce = 1 << 20;

// The mail as it lies in a mailbox, headers and all. Never throws for what is in it.
Bounce classify_bounce(std::string_view mail, const BounceRules&);

}  // namespace zgoda::mailer
