#include "service/restore.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/startup.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "config/locales.h"
#include "service/ledger.h"
#include "service/mail_pause.h"
#include "storage/sqlite/backup.h"
#include "storage/sqlite/migrations.h"
#include "storage/sqlite/withdrawals_journal.h"

namespace zgoda::cli {
namespace {

Exit refuse_restore(const storage::OpenProblem& problem, const config::Settings& settings,
                    const std::string& command_line) {
    using Kind = storage::OpenProblem::Kind;
    if (problem.kind == Kind::in_use) {
        return fail(Exit::try_later,
                    problem.sentence + ". Stop the service and its mailers first (systemctl stop zgoda)");
    }
    if (problem.kind == Kind::missing) return fail(Exit::not_found, problem.sentence);
    if (problem.kind == Kind::wrong_owner) return refuse(problem, settings, command_line);
    return fail(Exit::failed, problem.sentence + ". Nothing was changed");
}

// Who left, by the journal beside the database.
service::Departures read_departures(const config::Settings& settings, const service::Keyring& keys) {
    service::Departures departures;
    std::int64_t unreadable = 0;
    const auto& file = settings.storage.withdrawals_journal;
    const bool there = storage::read_withdrawals(
        file, [&](std::string_view line) { unreadable += departures.add(line, keys) ? 0 : 1; });
    if (!there) {
        fmt::print(stderr,
                   "zgoda: there is no withdrawals journal {} (storage.withdrawals_journal): who left after "
                   "the backup was made will be subscribed again, and tokens revoked since work again\n",
                   file.string());
    }
    if (unreadable > 0) {
        fmt::print(stderr, "zgoda: {} of {} lines of {} can't be read or are of a key that is not there\n",
                   unreadable, departures.lines(), file.string());
    }
    return departures;
}

}  // namespace

Exit restore(const Restore& options, const config::Settings& settings, const std::string& command_line,
             const Log& log) {
    // Whose the database is, before the keys: they are the same user's.
    const auto found = storage::find_file(sqlite_options(settings, Opener::command, log));
    if (found && found->kind == storage::OpenProblem::Kind::wrong_owner)
        return refuse(*found, settings, command_line);
    const auto opened_keys = open_keys(settings, true);
    if (const auto* exit = std::get_if<Exit>(&opened_keys)) return *exit;
    const auto& keys = std::get<service::Keyring>(opened_keys);
    const service::Texts texts = config::load_texts();
    const service::Rules rules = rules_of(settings, keys, texts);

    storage::SqliteOptions live = sqlite_options(settings, Opener::command, log);
    const auto inspected = storage::inspect(options.file, live);
    if (const auto* problem = std::get_if<storage::OpenProblem>(&inspected))
        return refuse_restore(*problem, settings, command_line);
    const auto& contents = std::get<storage::Contents>(inspected);
    if (!service::sealed_by(contents.head, keys)) {
        return fail(Exit::failed,
                    fmt::format("{} was made under another key than those in {} (secrets.key_file): no link "
                                "in a sent letter would work, and nobody who left for good would be "
                                "recognised. Put the key file of that time in its place. Nothing was changed",
                                options.file, settings.secrets.key_file.string()));
    }
    if (!options.verify && database_exists(settings) && !options.yes) {
        const auto answer = ask(fmt::format("Put the backup in the place of {}?", live.file.string()));
        if (!answer) {
            return fail(Exit::usage, fmt::format("there is a database {} already, and no terminal to ask on; "
                                                 "say --yes to replace it (it is kept beside the new one)",
                                                 live.file.string()));
        }
        if (!*answer) return fail(Exit::failed, "nothing was changed");
    }

    // --verify does all of it on the copy, and lets the copy go.
    auto begun = storage::begin_restore(live, options.file, options.verify);
    if (const auto* problem = std::get_if<storage::OpenProblem>(&begun))
        return refuse_restore(*problem, settings, command_line);
    auto& restoring = std::get<std::unique_ptr<storage::Restore>>(begun);
    const service::Departures departures = read_departures(settings, keys);
    service::Verdict verdict;
    service::Replayed replayed;
    {
        auto opened = storage::open_sqlite(restoring->copy());
        if (const auto* problem = std::get_if<storage::OpenProblem>(&opened))
            return refuse_restore(*problem, settings, command_line);
        service::Store& store = *std::get<std::unique_ptr<storage::SqliteStore>>(opened);
        {
            Progress progress("checking the ledger", contents.events);
            verdict = service::verify_ledger(store, keys, std::nullopt,
                                             [&](std::int64_t events) { progress.at(events); });
        }
        if (verdict.problem) {
            return fail(Exit::failed,
                        fmt::format("the ledger in {} was tampered with or damaged: {}. Nothing "
                                    "was changed",
                                    options.file, *verdict.problem));
        }
        {
            Progress progress("replaying withdrawals", contents.people);
            replayed =
                service::replay(store, departures, rules, [&](std::int64_t people) { progress.at(people); });
        }
        const service::TimeMs now = clock_now();
        const std::string who = admin_name();
        service::run(store, [&](service::Transaction& tx) {
            tx.add(service::MailPause{service::MailPause::Scope::after_restore, "", now});
            service::audit(
                tx, who, "restore",
                fmt::format(
                    R"({{"events":{},"left":{},"returned":{},"erased":{},"suppressed":{},"lifted":{},)"
                    R"("tokens_revoked":{}}})",
                    contents.head.seq, replayed.left, replayed.returned, replayed.erased, replayed.suppressed,
                    replayed.lifted, replayed.revoked),
                now);
        });
    }
    const std::string replay_told = fmt::format(
        "{} subscriptions ended again, {} people erased again, {} withdrawals were taken back, "
        "{} suppressions set and {} lifted, {} tokens revoked",
        replayed.left, replayed.erased, replayed.returned, replayed.suppressed, replayed.lifted,
        replayed.revoked);
    if (options.verify) {
        fmt::print("{} can be restored\n{}\n", options.file, verdict.head);
        fmt::print(stderr,
                   "{} people, {} subscriptions, {} events, all in order. By the journal: {}. Nothing "
                   "was changed.\n",
                   contents.people, contents.subscriptions, contents.events, replay_told);
        return Exit::done;
    }
    const auto placed = restoring->put_in_place();
    if (const auto* problem = std::get_if<storage::OpenProblem>(&placed))
        return refuse_restore(*problem, settings, command_line);
    const auto& kept = std::get<std::optional<std::filesystem::path>>(placed);

    fmt::print("{} is what {} holds\n{}\n", live.file.string(), options.file, verdict.head);
    if (kept) fmt::print("the database that was there is {}\n", kept->string());
    fmt::print(
        stderr,
        "{} people, {} subscriptions, {} events. By the withdrawals journal: {}.\nAll letters are held. "
        "Look at what came back, then say `zgoda mail resume --after-restore`.\n",
        contents.people, contents.subscriptions, contents.events, replay_told);
    return Exit::done;
}

}  // namespace zgoda::cli
