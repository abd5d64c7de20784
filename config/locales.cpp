#include "config/locales.h"

#include <fmt/format.h>
#include <unistr.h>

#include <cstdint>
#include <stdexcept>
#include <system_error>

#include "config/builtin.h"
#include "config/file.h"
#include "config/nearest.h"
#include "config/toml_file.h"

namespace zgoda::config {
namespace {

bool is_utf8(std::string_view text) {
    return u8_check(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == nullptr;
}

service::Texts::Language read_language(std::string_view name, std::string_view content) {
    auto parsed = parse_toml(content, name);
    if (const auto* problem = std::get_if<Problem>(&parsed)) throw std::logic_error(problem->sentence);
    service::Texts::Language language;
    for (TomlEntry& entry : std::get<std::vector<TomlEntry>>(parsed)) {
        if (std::holds_alternative<TomlEntry::Section>(entry.value)) continue;
        auto* text = std::get_if<std::string>(&entry.value);
        if (!text) throw std::logic_error(fmt::format("{}:{}: {} must be text", name, entry.line, entry.key));
        language.emplace(std::move(entry.key), std::move(*text));
    }
    return language;
}

}  // namespace

std::map<std::string, service::Texts::Language, std::less<>> load_languages() {
    std::map<std::string, service::Texts::Language, std::less<>> languages;
    for (const auto& [name, content] : builtin_files()) {
        if (!name.ends_with(".toml")) continue;
        languages.emplace(name.substr(0, name.size() - 5), read_language(name, content));
    }
    return languages;
}

service::Texts load_texts() {
    return service::Texts(load_languages());
}

std::variant<Templates, Problem> load_templates(const std::filesystem::path& folder) {
    Templates templates;
    std::vector<std::string> names;
    for (const auto& [name, content] : builtin_files()) {
        if (name.ends_with(".toml")) continue;
        templates.emplace(name, content);
        names.emplace_back(name);
    }
    if (folder.empty()) return templates;

    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        const std::string file = entry->path().string();
        if (name.starts_with('.')) continue;  // what editors and file managers leave
        const auto replaced = templates.find(name);
        if (replaced == templates.end()) {
            const std::string near = nearest(name, names);
            return Problem{fmt::format("mail.templates holds {}, which replaces no template{}.", file,
                                       near.empty() ? "" : "; the nearest is " + near)};
        }
        auto read = read_file(entry->path());
        if (const auto* unreadable = std::get_if<Unreadable>(&read)) {
            return Problem{
                fmt::format("mail.templates holds {}, which cannot be read: {}.", file, unreadable->why)};
        }
        replaced->second = std::move(std::get<File>(read).content);
        if (!is_utf8(replaced->second)) {
            return Problem{fmt::format("mail.templates holds {}, which must be UTF-8.", file)};
        }
    }
    if (error) {
        return Problem{fmt::format("mail.templates names {}, which cannot be read as a folder: {}.",
                                   folder.string(), error.message())};
    }
    return templates;
}

}  // namespace zgoda::config
