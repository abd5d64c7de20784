// An administrator's word on who gets no letters, and who may ask for them again.
//
// A suppression names a keyed hash of an address, not a person: it outlives her, and can be there before she
// is. What it means is service/pending.h's (suppressed()).
#pragma once

#include <string>
#include <vector>

#include "service/email_address.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

// No letter goes to this address any more (reason `admin`). Her subscriptions stay as they are. False: it was
// so already, and nothing is changed. `why` goes into the ledger: see reason_problem().
bool suppress(Transaction&, const EmailAddress&, const std::string& why, const Rules&, const Moment&);

// Lifts every suppression of this address but `erased`, which no administrator can lift: it only refuses
// imports. Returns the reasons that were lifted; she has to sign up again herself.
std::vector<SuppressionReason> lift_suppressions(Transaction&, const EmailAddress&, const std::string& why,
                                                 const Rules&, const Moment&);

}  // namespace zgoda::service
