#include <fmt/format.h>

#include <boost/json.hpp>

#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk.h"
#include "service/printable.h"

namespace zgoda::cli {
Exit subscriber_find(const SubscriberFind& options, service::Store& store) {
    constexpr std::size_t page = 5000;
    const service::desk::Pattern pattern(options.pattern);
    std::size_t found = 0;
    service::Id after = 0;
    bool more = false;
    for (std::size_t seen = page; seen == page && !more;) {
        std::vector<std::pair<service::Person, std::string>> matches;
        service::look(store, [&](service::Reader& reader) {
            matches.clear();
            const auto newsletters = reader.newsletters();
            const auto people = reader.people(after, page);
            for (const service::Person& person : people) {
                if (!pattern.fits(person)) continue;
                std::string subscriptions;
                for (const service::Subscription& one : reader.subscriptions_of(person.id)) {
                    const service::Newsletter* newsletter = newsletters->find(one.newsletter);
                    subscriptions +=
                        fmt::format("{}{} {}", subscriptions.empty() ? "" : ", ",
                                    newsletter == nullptr ? "" : newsletter->slug, service::word(one.status));
                }
                matches.emplace_back(person, std::move(subscriptions));
            }
            seen = people.size();
            if (!people.empty()) after = people.back().id;
        });
        for (const auto& [person, subscriptions] : matches) {
            if (found == options.limit) {
                more = true;
                break;
            }
            ++found;
            if (options.json) {
                fmt::print("{}\n",
                           boost::json::serialize(boost::json::object{{"id", person.id},
                                                                      {"address", person.address},
                                                                      {"name", person.name},
                                                                      {"subscriptions", subscriptions}}));
            } else {
                fmt::print("{:>10}  {}  {}\n", person.id, service::printable(person.address), subscriptions);
            }
        }
    }
    if (found == 0) {
        return fail(Exit::not_found, fmt::format("nobody's address, name or id has {} in it",
                                                 service::printable(options.pattern)));
    }
    if (more) fmt::print(stderr, "there are more than {}; --limit N shows more\n", options.limit);
    return Exit::done;
}

}  // namespace zgoda::cli
