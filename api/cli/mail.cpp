#include <fmt/format.h>
#include <unistd.h>

#include "api/cli/address.h"
#include "api/cli/sending.h"
#include "api/cli/signals.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "mailer/dispatcher.h"
#include "service/mail_pause.h"

namespace zgoda::cli {
namespace {

service::OutboxCounts count(service::Store& store) {
    service::OutboxCounts counts;
    service::look(store, [&](service::Reader& reader) { counts = reader.outbox(clock_now()); });
    return counts;
}

bool stopped(service::Store& store) {
    bool yes = false;
    service::look(store, [&](service::Reader& reader) { yes = service::mail_stopped(reader.mail_pauses()); });
    return yes;
}

}  // namespace

Exit mail(const Mail& options, const config::Settings& settings, const service::Rules& rules,
          service::Store& store, const Log& log, const Signals& signals) {
    const auto loaded = letter_templates(settings, rules.texts);
    if (const auto* problem = std::get_if<config::Problem>(&loaded))
        return fail(Exit::usage, problem->sentence);
    const auto& templates = std::get<mailer::Templates>(loaded);
    const auto courier = courier_of(settings);
    if (const auto* problem = std::get_if<config::Problem>(&courier))
        return fail(Exit::usage, problem->sentence);
    const mailer::Stationery stationery = stationery_of(settings);
    const auto limit = static_cast<std::int64_t>(options.limit.value_or(0));

    if (options.dry_run) {
        const mailer::Summary would =
            mailer::rehearse(store, rules, templates, stationery, limit, clock_now());
        fmt::print("would send {}, could not build {}, waiting {}\n", would.sent, would.refused,
                   would.waiting);
        return Exit::done;
    }

    mailer::DispatchOptions how = dispatch_options(settings, log);
    how.limit = limit;
    how.max_time = options.max_time.value_or(0) * service::second_ms;
    std::optional<Progress> progress;
    if (Progress::wanted() && !options.follow) {
        const std::int64_t due = count(store).due;
        progress.emplace("mail", limit > 0 ? std::min(limit, due) : due);
        how.on_progress = [&progress](std::int64_t done) { progress->at(done); };
    }
    mailer::Dispatcher dispatcher(store, rules, templates, stationery, std::get<NewCourier>(courier), how);
    const StopOnSignal stop(signals);
    if (options.follow) {
        log.info("mailing", {{"letters", describe_route(settings)}});
        dispatcher.follow(stop.token(), log_runs(log));
        log.info("stopping");
        return Exit::done;
    }

    const mailer::Summary done = dispatcher.run(stop.token());
    if (stopped(store) && count(store).waiting > 0) {  // what a narrower pause holds is never due
        return fail(
            Exit::try_later,
            fmt::format("all letters are paused, {} wait; `zgoda mail status` tells why", done.waiting));
    }
    progress.reset();
    const bool idle = done.sent + done.later + done.refused == 0 && done.relay_trouble.empty();
    if (!idle || isatty(STDOUT_FILENO) == 1) {
        fmt::print("sent {}, later {}, refused {}, waiting {}\n", done.sent, done.later, done.refused,
                   done.waiting);
    }
    if (!done.relay_trouble.empty()) {
        return fail(Exit::try_later,
                    fmt::format("{} ({}) takes no letters now: {}", describe_route(settings),
                                settings.file.empty() ? "mail.url" : "mail.url in " + settings.file.string(),
                                done.relay_trouble));
    }
    return Exit::done;
}

}  // namespace zgoda::cli
