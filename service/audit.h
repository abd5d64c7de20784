// Who administered what: one row for each act of an administrator, written in the unit of work of the act
// itself, so that neither is kept without the other.
#pragma once

#include <string>
#include <string_view>

#include "service/store.h"

namespace zgoda::service {

// `who` is a user of this machine, or "token NAME (id ID)"; `what` the verb, as "subscriber erase"; `details`
// a JSON object that names ids and never addresses.
void audit(Transaction&, const std::string& who, std::string_view what, std::string details, TimeMs now);

// Why `text` can't be the reason of an act: one sentence. A reason is kept for ever, so it is one plain line
// of at most 200 characters, without an '@': what names a person could not be erased from it.
std::optional<std::string> reason_problem(std::string_view text);

}  // namespace zgoda::service
