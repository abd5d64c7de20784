#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/import_file.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/pending.h"
#include "service/suppression.h"

namespace zgoda::cli {

Exit suppress_import(const SuppressImport& options, const service::Rules& rules, service::Store& store) {
    constexpr std::size_t unit = 50;
    if (const auto problem = service::reason_problem(options.reason)) return fail(Exit::usage, *problem);
    ImportFile file(options.file);
    if (file.problem()) return fail(file.missing() ? Exit::not_found : Exit::failed, *file.problem());
    std::int64_t total = 0;
    if (const auto problem = read_addresses(file, rules, [&total](const ListedAddress&) { ++total; }))
        return fail(Exit::failed, *problem);

    const std::string who = admin_name();
    service::run(store, [&, now = clock_now()](service::Transaction& tx) {
        service::audit(
            tx, who, "suppress import",
            fmt::format(R"({{"rows":{},"reason":{}}})", total, service::json_string(options.reason)), now);
    });
    struct Waiting {
        service::EmailAddress address;
        service::Moment moment;
    };
    std::vector<Waiting> waiting;
    std::int64_t done = 0, added = 0, wrong = 0;
    std::optional<Progress> progress(std::in_place, "suppress import", total);
    const auto write = [&] {
        std::int64_t fresh = 0;
        service::run(store, [&](service::Transaction& tx) {
            fresh = 0;
            for (const Waiting& one : waiting)
                fresh += service::suppress(tx, one.address, options.reason, rules, one.moment) ? 1 : 0;
        });
        added += fresh;
        waiting.clear();
        progress->at(done);
        let_others_in();
    };
    const auto problem = read_addresses(file, rules, [&](const ListedAddress& one) {
        ++done;
        if (one.address)
            waiting.push_back({*one.address, {clock_now(), service::random_seed()}});
        else
            ++wrong;
        if (waiting.size() == unit) write();
    });
    if (!waiting.empty()) write();
    progress.reset();  // before anything is said
    if (problem) return fail(Exit::failed, *problem);
    fmt::print("suppressed {}, already {}, no address {} of {} rows\n", added, done - added - wrong, wrong,
               done);
    return Exit::done;
}

}  // namespace zgoda::cli
