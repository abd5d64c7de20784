#include <fmt/format.h>

#include <filesystem>

#include "api/cli/address.h"
#include "api/cli/sending.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/key_file.h"
#include "config/locales.h"

namespace zgoda::cli {

Exit check_config(const CheckConfig&, const config::Settings& settings) {
    const auto templates = letter_templates(settings, config::load_texts());
    if (const auto* problem = std::get_if<config::Problem>(&templates))
        return fail(Exit::usage, problem->sentence);
    const auto courier = courier_of(settings);
    if (const auto* problem = std::get_if<config::Problem>(&courier))
        return fail(Exit::usage, problem->sentence);
    const std::filesystem::path& key_file = settings.secrets.key_file;
    const std::filesystem::path& database = settings.storage.url.file;
    using Type = std::filesystem::file_type;
    std::error_code ignored;
    const Type database_type = std::filesystem::status(database, ignored).type();
    const Type keys_type = std::filesystem::status(key_file, ignored).type();
    const auto is_there = [](Type type) { return type != Type::not_found && type != Type::none; };
    if (is_there(keys_type) || is_there(database_type)) {
        const auto keys = config::load_keys(key_file, true, clock_now());
        if (const auto* problem = std::get_if<config::Problem>(&keys))
            return fail(Exit::usage, problem->sentence);
    }

    const auto state = [](Type type) {
        return type == Type::not_found ? " (made at the first start)"
               : type == Type::none    ? " (this user can't look at it)"
                                       : "";
    };
    fmt::print("settings       {}\n",
               settings.file.empty() ? "the built-in defaults" : settings.file.string());
    fmt::print("public         {} at {}\n", settings.server.public_url, settings.server.listen);
    fmt::print("private        {}\n", settings.server.private_listen);
    fmt::print("database       {}{}\n", database.string(), state(database_type));
    fmt::print("keys           {}{}\n", key_file.string(), state(keys_type));
    fmt::print("letters        {}\n", describe_route(settings));
    fmt::print("sender         {} <{}>\n", settings.mail.from.name, settings.mail.from.address);
    if (!settings.mail.templates.empty()) fmt::print("templates      {}\n", settings.mail.templates.string());
    for (const std::string& warning : settings.warnings) fmt::print(stderr, "zgoda: warning: {}\n", warning);
    return Exit::done;
}

}  // namespace zgoda::cli
