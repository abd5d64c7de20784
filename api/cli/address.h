// The address that a verb is about.
#pragma once

#include <optional>
#include <string>

#include "api/cli/verbs.h"
#include "service/rules.h"

namespace zgoda::cli {

// Checked as a form's would be. nullopt: it cannot be one, and that is said on stderr; the exit code is
// `usage`.
std::optional<service::EmailAddress> read_address(const std::string& typed, const service::Rules&);

// "nothing is known of ..." on stderr.
Exit nobody(const service::EmailAddress&);

// Milliseconds of the system's clock.
service::TimeMs clock_now();

}  // namespace zgoda::cli
