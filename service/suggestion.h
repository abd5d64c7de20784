#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "service/email_address.h"

// "Did you mean ada@gmail.com?" A hint for the reader beside the answer, never a correction: what she typed
// may be right. When in doubt, silence. Pure functions, for any thread.
namespace zgoda::service {

// For an accepted address: the whole address to suggest if its domain looks like a slip for a big mail
// provider (gmial.com, ukr.nte) or ends in a slip for .com, .net or .org (kyivpost.con). Nothing for a known
// provider, which costs one binary search, nor for what is probably somebody's own domain.
std::optional<std::string> suggest_address(const EmailAddress& typed);

// For a refused one: the whole address to suggest if a small repair of what stands around or after the '@'
// makes it acceptable by `rules` (ada@gmail..com, ada@gmail,com, ada@gmail, Ada <ada@gmail.com>).
std::optional<std::string> suggest_repair(std::string_view refused, const AddressRules& rules = {});

}  // namespace zgoda::service
