#include "storage/sqlite/backup.h"

#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/output.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/ledger.h"

namespace zgoda::cli {

Exit backup(const Backup& options, const config::Settings& settings, const Log& log, service::Store& store) {
    const std::filesystem::path file = std::filesystem::absolute(options.file).lexically_normal();
    std::variant<storage::Contents, storage::OpenProblem> made;
    {
        std::optional<Progress> progress;
        made = storage::back_up(sqlite_options(settings, Opener::command, log), file, options.yes,
                                [&](int done, int total) {
                                    if (!progress) progress.emplace("backup", total);
                                    progress->at(done);
                                });
    }
    if (const auto* problem = std::get_if<storage::OpenProblem>(&made)) {
        const bool taken = problem->sentence.ends_with("is there already");
        return fail(Exit::failed,
                    problem->sentence + (taken ? "; take another name, or say --yes to replace it" : ""));
    }
    const auto& contents = std::get<storage::Contents>(made);
    const std::string head =
        fmt::format("{}:{}", contents.head.seq, service::to_hex(std::span(contents.head.hash)));
    Output beside(file.string() + ".head");
    beside.write(head + "\n");
    beside.finish();
    if (beside.problem()) fmt::print(stderr, "zgoda: {}\n", *beside.problem());

    const service::TimeMs now = clock_now();
    const std::string who = admin_name();
    service::run(store, [&](service::Transaction& tx) {
        service::audit(tx, who, "backup", fmt::format(R"({{"events":{}}})", contents.head.seq), now);
    });
    fmt::print("{}\n{}\n", file.string(), head);
    fmt::print(stderr,
               "{} people, {} subscriptions, {} letters, {} events of the ledger in {} bytes; opened again, "
               "checked and counted.\nThe key file is not inside: keep a copy of {} somewhere else. Without "
               "it nobody can restore this backup. Nor is the withdrawals journal, {}.\n",
               contents.people, contents.subscriptions, contents.letters, contents.events, contents.bytes,
               settings.secrets.key_file.string(), settings.storage.withdrawals_journal.string());
    return beside.problem() ? Exit::failed : Exit::done;
}

}  // namespace zgoda::cli
