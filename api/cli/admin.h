// Who runs a verb, for the record of administrators' acts; and how long writers let others in.
#pragma once

#include <string>

#include "service/audit.h"

namespace zgoda::cli {

// The user of this machine, as "root"; through sudo as "zgoda (sudo by alice)".
std::string admin_name();

// Between the units of work of a long writer: readers' signups come first.
void let_others_in();

}  // namespace zgoda::cli
