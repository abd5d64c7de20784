#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk.h"
#include "service/desk_json.h"

namespace zgoda::cli {

Exit suppress_add(const SuppressAdd& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    if (const auto problem = service::reason_problem(options.reason)) return fail(Exit::usage, *problem);
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    bool added = false;
    std::size_t subscriptions = 0;
    service::run(store, [&](service::Transaction& tx) {
        subscriptions = 0;
        added = service::desk::suppress(tx, who, *address, options.reason, rules, moment);
        if (!added) return;
        const auto person = tx.person_by_key(address->addr_key);
        if (!person) return;
        for (const service::Subscription& one : tx.subscriptions_of(person->id))
            subscriptions += one.status == service::SubscriptionStatus::confirmed ? 1 : 0;
    });
    fmt::print("{}\n", added ? "suppressed: no letter from here goes to this address"
                             : "suppressed by an administrator already");
    if (subscriptions > 0) {
        fmt::print(stderr,
                   "she keeps {} confirmed subscriptions, which exports have; `zgoda subscriber unsubscribe "
                   "--all` ends them\n",
                   subscriptions);
    }
    return Exit::done;
}

Exit suppress_remove(const SuppressRemove& options, const service::Rules& rules, service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    if (const auto problem = service::reason_problem(options.reason)) return fail(Exit::usage, *problem);
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    std::vector<service::SuppressionReason> lifted;
    service::run(store, [&](service::Transaction& tx) {
        lifted = service::desk::lift_suppressions(tx, who, *address, options.reason, rules, moment);
    });
    if (lifted.empty()) {
        return fail(Exit::not_found,
                    "nothing to lift: this address may have letters (one that was erased is refused by "
                    "imports only, and stays so)");
    }
    for (const service::SuppressionReason one : lifted) fmt::print("lifted: {}\n", service::word(one));
    return Exit::done;
}

Exit suppress_list(const SuppressList& options, const service::Rules& rules, service::Store& store) {
    constexpr std::size_t page = 2000;
    std::optional<service::EmailAddress> address;
    std::vector<service::Suppression> only;
    if (!options.address.empty()) {
        address = read_address(options.address, rules);
        if (!address) return Exit::usage;
    }
    const auto print = [&](const service::Suppression& one) {
        if (options.reason && one.reason != *options.reason) return;
        if (options.json) {
            fmt::print("{}\n", boost::json::serialize(service::desk::json_of(one)));
        } else {
            fmt::print("{}  {:<11}  {}\n", service::rfc3339(one.at), service::word(one.reason),
                       service::to_hex(one.key).substr(0, 16));
        }
    };
    if (address) {
        service::look(store, [&](service::Reader& reader) {
            only.clear();
            for (const service::Suppression& key : service::suppression_keys(rules.keys, address->addr_key)) {
                const auto found = reader.suppressions(key.key);
                only.insert(only.end(), found.begin(), found.end());
            }
        });
        if (only.empty()) return fail(Exit::not_found, "this address is not suppressed");
        for (const auto& one : only) print(one);
        return Exit::done;
    }
    std::optional<service::Suppression> last;
    for (std::size_t seen = page; seen == page;) {
        std::vector<service::Suppression> found;
        service::look(store, [&](service::Reader& reader) {
            found = reader.all_suppressions(last ? &*last : nullptr, page);
        });
        for (const auto& one : found) print(one);
        seen = found.size();
        if (!found.empty()) last = found.back();
    }
    return Exit::done;
}

}  // namespace zgoda::cli
