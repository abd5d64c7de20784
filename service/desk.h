// The acts of administrators, as the command line and the admin API do them: what the rule of each is and who
// did it, in one unit of work. `who` is a user of this machine or a token (service/admin_token.h).
//
// An act that changes nothing leaves no row in the record of acts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/email_address.h"
#include "service/evidence.h"
#include "service/rules.h"
#include "service/signup.h"
#include "service/store.h"

namespace zgoda::service::desk {

struct SettingChange {
    std::string key;
    std::string locale;  // "": for all languages
    std::string value;   // "": removes it
};

struct NewsletterOutcome {
    enum class Kind { done, unknown, taken, refused } kind = Kind::done;
    Newsletter newsletter;  // done: as it is now
    std::string problem;    // taken, refused: one sentence
    std::string at;         // refused: "slug", or the key of the setting
};

// The settings must have a name, at least in one language.
NewsletterOutcome add_newsletter(Transaction&, const std::string& who, const std::string& slug,
                                 const std::vector<SettingChange>&, const NewsletterRules&, TimeMs now);

// All of it, or nothing.
struct NewsletterChange {
    std::string slug;  // "": it keeps its own; else that becomes an alias
    std::optional<bool> open;
    std::vector<SettingChange> settings;
};
NewsletterOutcome change_newsletter(Transaction&, const std::string& who, std::string_view slug,
                                    const NewsletterChange&, const NewsletterRules&, TimeMs now);

// Of one newsletter, or all (nullopt). How many ended.
int unsubscribe(Transaction&, const std::string& who, const Person&, std::optional<Id> newsletter,
                const Rules&, const Moment&);

// Why this cannot be the evidence of a confirmation: one sentence.
std::optional<std::string> evidence_problem(std::string_view);
EvidencedOutcome confirm(Transaction&, const std::string& who, const Person&, std::optional<Id> newsletter,
                         const std::string& evidence, const Rules&, const Moment&);

// `over_budget` needs a reason (reason_problem()). Where that gives her a letter that the budget may not
// have, the ledger keeps who answers for it and why.
Resent resend(Transaction&, const std::string& who, const Person&, bool over_budget,
              const std::string& reason, const Rules&, const Moment&);

void erase(Transaction&, const std::string& who, const Person&, const Rules&, const Moment&);

// See service/suppression.h.
bool suppress(Transaction&, const std::string& who, const EmailAddress&, const std::string& why, const Rules&,
              const Moment&);
std::vector<SuppressionReason> lift_suppressions(Transaction&, const std::string& who, const EmailAddress&,
                                                 const std::string& why, const Rules&, const Moment&);

// Who has this in her address or name, or this id; `*` stands for anything. ASCII letters fit in either case.
class Pattern {
 public:
    explicit Pattern(std::string_view);
    bool fits(const Person&) const;

 private:
    std::string typed_, lower_;
};

}  // namespace zgoda::service::desk
