// Leaving: by link, by one click (RFC 8058), by an administrator; and being forgotten.
//
// An unsubscribe is final: it raises the person's generation, which ends her open confirm tokens, appends a
// keyed hash to the withdrawals journal, and is lifted only by her own new, proven signup.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/client.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

struct UnsubscribeView {
    enum class Kind { unknown, subscribed, left } kind = Kind::unknown;
    std::string locale;
    std::string masked_address;
    std::string newsletter;  // its name, in the page's language
    std::optional<TimeMs> left_at;
};

UnsubscribeView show_unsubscribe(Reader&, std::string_view token, const Rules&);

enum class Way { page, one_click, admin };

// Leaves the one newsletter that the token names. The second time changes nothing and says the same.
UnsubscribeView unsubscribe(Transaction&, std::string_view token, Way, const Client&, const Rules&,
                            const Moment&);

// For the administrator: one newsletter, or all (nullopt). Returns how many subscriptions ended.
int unsubscribe(Transaction&, const Person&, std::optional<Id> newsletter, const Rules&, const Moment&);

// Erases a person: her rows, her letters, identity and evidence of her events. The chain stays valid; a keyed
// hash
// (`erased`) refuses imports of her, her own new signup is welcome.
void erase(Transaction&, const Person&, const Rules&, const Moment&);

// The link that leaves this subscription. Never expires.
std::string unsubscribe_token(Id subscription, const Rules&, int key_id);

}  // namespace zgoda::service
