#include "service/audit.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/printable.h"

namespace zgoda::cli {

Exit audit(const Audit& options, service::Store& store) {
    constexpr std::size_t page = 1000;
    service::Id before = 0;
    std::size_t left = options.limit;
    while (left > 0) {
        std::vector<service::AdminAct> acts;
        service::look(
            store, [&](service::Reader& reader) { acts = reader.admin_acts(before, std::min(left, page)); });
        if (acts.empty()) break;
        for (const service::AdminAct& act : acts) {
            if (options.json) {
                fmt::print("{}\n", boost::json::serialize(
                                       boost::json::object{{"id", act.id},
                                                           {"at", service::rfc3339(act.at)},
                                                           {"who", act.who},
                                                           {"what", act.what},
                                                           {"details", boost::json::parse(act.details)}}));
            } else {
                fmt::print("{}  {:<20} {:<22} {}\n", service::rfc3339(act.at), service::printable(act.who),
                           act.what, service::printable(act.details == "{}" ? "" : act.details));
            }
        }
        left -= acts.size();
        before = acts.back().id;
    }
    return Exit::done;
}

}  // namespace zgoda::cli
