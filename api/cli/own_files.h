// What a verb writes must not take the place of what zgoda itself lives from, nor of what the verb reads.
#pragma once

#include <optional>
#include <string>

#include "api/cli/verbs.h"

namespace zgoda::cli {

// A sentence if a file that the verb was told to write is the database or a file beside it (WAL, locks), the
// keys, the withdrawals journal, the settings or a file that they name, or the input of the same verb: by any
// name or link. For a backup also if there is something else there than a regular file. To be asked before
// anything is opened.
std::optional<std::string> output_problem(const Verb&, const config::Settings&);

}  // namespace zgoda::cli
