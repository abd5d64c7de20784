#include "config/toml_file.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

namespace zgoda::config {
namespace {

std::optional<std::vector<std::string>> strings_of(const toml::array& array) {
    std::vector<std::string> strings;
    for (const toml::node& node : array) {
        if (!node.is_string()) return std::nullopt;
        strings.push_back(node.as_string()->get());
    }
    return strings;
}

void flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>& entries) {
    for (const auto& [key, node] : table) {
        TomlEntry entry{prefix + std::string(key.str()), key.source().begin.line, TomlEntry::Other{}};
        if (const toml::table* section = node.as_table()) {
            entry.value = TomlEntry::Section{};
            flatten(*section, entry.key + ".", entries);
        } else if (node.is_string()) {
            entry.value = node.as_string()->get();
        } else if (node.is_integer()) {
            entry.value = node.as_integer()->get();
        } else if (const toml::array* array = node.as_array()) {
            if (auto strings = strings_of(*array)) entry.value = std::move(*strings);
        }
        entries.push_back(std::move(entry));
    }
}

// What stands before the '=' of a line that could not be read; its value may be a secret.
std::string key_in(std::string_view text, unsigned line) {
    for (unsigned above = 1; above < line; ++above) {
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    }
    const std::string_view row = text.substr(0, text.find('\n'));
    std::string key(row.substr(0, row.find('=')));
    std::erase_if(key, [](char c) { return c == ' ' || c == '\t'; });
    const bool bare = std::all_of(key.begin(), key.end(),
                                  [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == '.'; });
    return key.empty() || !bare || row.find('=') == std::string_view::npos ? "this line" : key;
}

}  // namespace

std::variant<std::vector<TomlEntry>, Problem> parse_toml(std::string_view text, std::string_view file) {
    const toml::parse_result result = toml::parse(text);
    if (!result) {
        const toml::parse_error& error = result.error();
        const unsigned line = error.source().begin.line;
        return Problem{fmt::format("{}:{}: {} is not TOML (text stands in quotes, and a key only once): {}.",
                                   file, line, key_in(text, line), error.description())};
    }
    std::vector<TomlEntry> entries;
    flatten(result.table(), "", entries);
    std::stable_sort(entries.begin(), entries.end(),
                     [](const TomlEntry& a, const TomlEntry& b) { return a.line < b.line; });
    return entries;
}

}  // namespace zgoda::config
