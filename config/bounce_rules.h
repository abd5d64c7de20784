// What returned mails say, in the words of servers: the built-in bounce_rules.toml as a value for the mailer.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace zgoda::config {

// Its lists by their full names: "says.policy". Throws std::logic_error if the file is broken: then the
// program is.
std::map<std::string, std::vector<std::string>> load_bounce_rules();

}  // namespace zgoda::config
