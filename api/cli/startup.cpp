#include "api/cli/startup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "api/cli/address.h"
#include "api/cli/terminal.h"
#include "config/key_file.h"

namespace zgoda::cli {

std::variant<config::Settings, config::Problem> read_settings(const std::string& config_file) {
    std::map<std::string, std::string> environment;
    for (char** one = environ; *one != nullptr; ++one) {
        const std::string_view text(*one);
        const std::size_t equals = text.find('=');
        if (equals != text.npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return config::load_settings(
        config_file.empty() ? std::nullopt : std::optional<std::filesystem::path>(config_file), environment,
        std::filesystem::current_path());
}

storage::SqliteOptions sqlite_options(const config::Settings& settings, Opener opener, const Log& log) {
    storage::SqliteOptions options;
    options.file = settings.storage.url.file;
    options.withdrawals_journal = settings.storage.withdrawals_journal;
    if (opener == Opener::service)
        options.create = true;
    else
        options.stale_after = service::minute_ms;  // nobody is waiting on the other end of a connection
    options.on_trouble =
        [log, quiet_until = std::chrono::steady_clock::time_point()](std::string_view sentence) mutable {
            const auto now = std::chrono::steady_clock::now();
            if (now < quiet_until) return;  // a full disk says so at every commit
            quiet_until = now + std::chrono::seconds(1);
            log.warn("storage_trouble", {{"why", sentence}});
        };
    options.on_broken = [log](std::string_view sentence) {
        log.error("storage_broken", {{"why", sentence}, {"exit", static_cast<int>(Exit::storage_broken)}});
        // Time for the answers that say 503, then out: no destructor may touch this database again.
        std::thread([] {
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            _exit(static_cast<int>(Exit::storage_broken));
        }).detach();
    };
    return options;
}

Exit refuse(const storage::OpenProblem& problem, const config::Settings& settings,
            const std::string& command_line) {
    using Kind = storage::OpenProblem::Kind;
    const std::string& why = problem.sentence;
    switch (problem.kind) {
        case Kind::missing:
            return fail(Exit::usage,
                        fmt::format("there is no database {} (storage.url{}). `zgoda migrate` makes it",
                                    settings.storage.url.file.string(),
                                    settings.file.empty() ? "" : " in " + settings.file.string()));
        case Kind::wrong_owner:
            return fail(Exit::usage, fmt::format("{}. Run it as that user:\n    sudo -u {} {}", why,
                                                 problem.owner, command_line));
        case Kind::old_schema:
            return fail(Exit::try_later, why + ". Run `zgoda migrate`");
        case Kind::new_schema:
            return fail(Exit::failed, why + ". Run the newer program, or restore an older backup");
        case Kind::in_use:
            return fail(Exit::try_later, why + ". Try again later");
        case Kind::network_filesystem:
            return fail(Exit::usage, why + ". Move it to a disk of this machine and change storage.url");
        case Kind::not_a_database:
            return fail(Exit::storage_broken, why + ". Correct storage.url, or put a backup in its place");
        case Kind::unsupported:
        case Kind::failed:
            break;
    }
    return fail(Exit::storage_broken, why);
}

std::variant<service::Keyring, Exit> open_keys(const config::Settings& settings, bool data_present) {
    auto keys = config::load_keys(settings.secrets.key_file, data_present, clock_now());
    if (const auto* problem = std::get_if<config::Problem>(&keys))
        return fail(Exit::usage, problem->sentence);
    return service::Keyring(std::get<std::vector<service::MasterKey>>(std::move(keys)));
}

bool database_exists(const config::Settings& settings) {
    std::error_code error;
    return std::filesystem::status(settings.storage.url.file, error).type() !=
           std::filesystem::file_type::not_found;
}

service::Rules rules_of(const config::Settings& settings, const service::Keyring& keys,
                        const service::Texts& texts) {
    service::Rules rules{keys, texts, settings.budget.per_address, settings.mail.from.domain(), {}};
    rules.preference_links = settings.budget.preference_links;
    return rules;
}

service::NewsletterRules newsletter_rules_of(const config::Settings& settings, const service::Texts& texts) {
    service::NewsletterRules rules{config::sender_domains(settings), texts.locales(), {}};
    for (const auto& [key, text] : texts.language("en"))
        if (key.starts_with("form.")) rules.text_keys.push_back(key.substr(5));
    return rules;
}

}  // namespace zgoda::cli
