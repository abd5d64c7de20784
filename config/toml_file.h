// TOML (1.0) as a flat list: the one place that knows the parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/problem.h"

namespace zgoda::config {

struct TomlEntry {
    struct Section {};  // [mail] itself; its keys are entries of their own
    struct Other {};    // a date, a float, a boolean, a list of anything but strings
    using Value = std::variant<Section, std::string, std::int64_t, std::vector<std::string>, Other>;

    std::string key;  // with its sections: "mail.tls"
    unsigned line = 0;
    Value value;
};

// In the order of the lines. `file` is its name, for the Problem.
std::variant<std::vector<TomlEntry>, Problem> parse_toml(std::string_view text, std::string_view file);

}  // namespace zgoda::config
