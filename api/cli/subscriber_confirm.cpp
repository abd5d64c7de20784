#include <fmt/format.h>

#include "api/cli/address.h"
#include "api/cli/admin.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk.h"
#include "service/printable.h"

namespace zgoda::cli {

Exit subscriber_confirm(const SubscriberConfirm& options, const service::Rules& rules,
                        service::Store& store) {
    const auto address = read_address(options.address, rules);
    if (!address) return Exit::usage;
    if (const auto problem = service::desk::evidence_problem(options.evidence))
        return fail(Exit::usage, *problem);
    std::optional<service::Id> newsletter;
    bool found = true;
    service::look(store, [&](service::Reader& reader) {
        if (options.newsletter.empty()) return;
        const auto all = reader.newsletters();
        const service::Newsletter* one = all->find(options.newsletter);
        found = one != nullptr;
        if (found) newsletter = one->id;
    });
    if (!found) {
        return fail(Exit::not_found,
                    fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                service::printable(options.newsletter)));
    }
    const service::Moment moment{clock_now(), service::random_seed()};
    const std::string who = admin_name();
    bool known = false;
    service::EvidencedOutcome outcome;
    std::string slugs;
    service::run(store, [&](service::Transaction& tx) {
        const auto person = tx.person_by_key(address->addr_key);
        known = person.has_value();
        if (!known) return;
        outcome = service::desk::confirm(tx, who, *person, newsletter, options.evidence, rules, moment);
        slugs.clear();
        if (outcome.kind != service::Evidenced::confirmed) return;
        const auto all = tx.newsletters();
        for (const service::Id id : outcome.newsletters) slugs += " " + all->find(id)->slug;
    });
    if (!known) return nobody(*address);
    switch (outcome.kind) {
        case service::Evidenced::confirmed:
            fmt::print("confirmed:{}\n", slugs);
            return Exit::done;
        case service::Evidenced::nothing_pending:
            return fail(Exit::failed,
                        "nothing of hers waits for a confirmation; `zgoda subscriber explain` tells more");
        case service::Evidenced::suppressed:
            break;
    }
    return fail(Exit::failed,
                "she is suppressed; if she wants to come back, `zgoda suppress remove --reason` first");
}

}  // namespace zgoda::cli
