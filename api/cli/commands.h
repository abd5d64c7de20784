// From the words of the command line to a verb. The only file that knows CLI11.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "api/cli/verbs.h"

namespace zgoda::cli {

struct Command {
    std::string config_file;  // --config, or ""
    Verb verb;
};

// What is to be done; or the exit code when all is said already: help and version on stdout, wrong usage on
// stderr with the sentence that says how it is right. `arguments` are without the program's name.
std::variant<Command, Exit> parse_command_line(std::vector<std::string> arguments);

}  // namespace zgoda::cli
