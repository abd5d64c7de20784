// What the rules of service/ need to know of this installation, gathered once at the start and never changed.
#pragma once

#include <string>
#include <vector>

#include "service/email_address.h"
#include "service/keyring.h"
#include "service/texts.h"
#include "service/time.h"

namespace zgoda::service {

struct Rules {
    const Keyring& keys;
    const Texts& texts;
    std::vector<Rate> per_address;  // the mail budget; empty: none
    std::string message_id_domain = "localhost";
    AddressRules address;
    DurationMs budget_wait = 72 * hour_ms;  // a request that gets no letter within this time lapses
    DurationMs link_life = 72 * hour_ms;    // of a confirmation link, from the letter's first lease
    DurationMs lease_cap = 30 * minute_ms;
    std::vector<Rate> preference_links = {};  // the budget of preference_link letters; empty: none
};

}  // namespace zgoda::service
