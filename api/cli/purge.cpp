#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/import_undo.h"
#include "service/retention.h"

namespace zgoda::cli {

Exit purge(const Purge& options, const config::Settings& settings, const service::Rules& rules,
           service::Store& store) {
    const service::Retention retention{settings.retention.unconfirmed, settings.retention.ip_evidence,
                                       settings.retention.outbox};
    const service::TimeMs now = clock_now();
    const service::Purged done = service::purge(store, retention, rules, now, options.dry_run, let_others_in);
    for (bool more = !options.dry_run; more; let_others_in()) {
        service::run(store,
                     [&](service::Transaction& tx) { more = service::forget_old_imports(tx, 500, now); });
    }
    const boost::json::object counts{{"unconfirmed_people", done.people}, {"events", done.events},
                                     {"requests", done.requests},         {"letters", done.letters},
                                     {"budgets", done.budgets},           {"wrong_codes", done.codes}};
    const bool nothing =
        done.people + done.events + done.requests + done.letters + done.budgets + done.codes == 0;
    if (!options.dry_run && !nothing) {
        const std::string who = admin_name();
        service::run(store, [&](service::Transaction& tx) {
            service::audit(tx, who, "purge", boost::json::serialize(counts), now);
        });
    }
    if (options.json) {
        fmt::print("{}\n", boost::json::serialize(counts));
        return Exit::done;
    }
    fmt::print(
        "{}: {} people who never confirmed, network evidence of {} events and {} requests, {} letters, "
        "{} counts of letters to others\n",
        options.dry_run ? "would forget" : "forgot", done.people, done.events, done.requests, done.letters,
        done.budgets);
    return Exit::done;
}

}  // namespace zgoda::cli
