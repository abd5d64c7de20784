#include "config/bounce_rules.h"

#include <fmt/format.h>

#include <stdexcept>

#include "config/builtin.h"
#include "config/toml_file.h"

namespace zgoda::config {

std::map<std::string, std::vector<std::string>> load_bounce_rules() {
    const auto& [name, content] = *builtin_bounce_rules().begin();
    auto parsed = parse_toml(content, name);
    if (const auto* problem = std::get_if<Problem>(&parsed)) throw std::logic_error(problem->sentence);
    std::map<std::string, std::vector<std::string>> lists;
    for (TomlEntry& entry : std::get<std::vector<TomlEntry>>(parsed)) {
        if (std::holds_alternative<TomlEntry::Section>(entry.value)) continue;
        auto* list = std::get_if<std::vector<std::string>>(&entry.value);
        if (!list)
            throw std::logic_error(fmt::format("{}:{}: {} must be a list", name, entry.line, entry.key));
        lists.emplace(std::move(entry.key), std::move(*list));
    }
    return lists;
}

}  // namespace zgoda::config
