#include <fmt/format.h>

#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"

namespace zgoda::cli {

Exit migrate(const Migrate& options, const config::Settings& settings, const std::string& command_line,
             const Log& log) {
    const std::string file = settings.storage.url.file.string();
    // The keys first: a database without its keys would be one that nobody can start.
    if (!options.check && !database_exists(settings)) {
        const auto keys = open_keys(settings, false);
        if (const auto* exit = std::get_if<Exit>(&keys)) return *exit;
    }
    const auto result = storage::migrate(sqlite_options(settings, Opener::service, log), options.check);
    if (const auto* problem = std::get_if<storage::OpenProblem>(&result))
        return refuse(*problem, settings, command_line);

    const auto& report = std::get<storage::MigrationReport>(result);
    if (report.from == report.to) {
        fmt::print("{} has schema {}, nothing to do\n", file, report.to);
        return Exit::done;
    }
    if (options.check) {
        fmt::print("{}: `zgoda migrate` would {}\n", file,
                   report.from == 0 ? fmt::format("make it with schema {}", report.to)
                                    : fmt::format("take it from schema {} to {}", report.from, report.to));
        return Exit::try_later;
    }
    if (report.backup) fmt::print("the backup is {}\n", report.backup->string());
    fmt::print("{} has schema {} now\n", file, report.to);
    return Exit::done;
}

}  // namespace zgoda::cli
