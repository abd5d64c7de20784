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
    std::error_code ignored;
    const bool has_database = std::filesystem::exists(database, ignored);
    const bool has_keys = std::filesystem::exists(key_file, ignored);
    if (has_keys || has_database) {
        const auto keys = config::load_keys(key_file, true, clock_now());
        if (const auto* problem = std::get_if<config::Problem>(&keys))
            return fail(Exit::usage, problem->sentence);
    }

    const auto later = [](bool exists) { return exists ? "" : " (made at the first start)"; };
    fmt::print("settings       {}\n",
               settings.file.empty() ? "the built-in defaults" : settings.file.string());
    fmt::print("public         {} at {}\n", settings.server.public_url, settings.server.listen);
    fmt::print("private        {}\n", settings.server.private_listen);
    fmt::print("database       {}{}\n", database.string(), later(has_database));
    fmt::print("keys           {}{}\n", key_file.string(), later(has_keys));
    fmt::print("letters        {}\n", describe_route(settings));
    fmt::print("sender         {} <{}>\n", settings.mail.from.name, settings.mail.from.address);
    if (!settings.mail.templates.empty()) fmt::print("templates      {}\n", settings.mail.templates.string());
    for (const std::string& warning : settings.warnings) fmt::print(stderr, "zgoda: warning: {}\n", warning);
    return Exit::done;
}

}  // namespace zgoda::cli
