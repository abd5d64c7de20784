#include "service/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "api/cli/address.h"
#include "api/cli/terminal.h"
#include "api/cli/verbs.h"
#include "service/desk_json.h"
#include "service/printable.h"

namespace zgoda::cli {
namespace {

using By = service::StatsQuery::By;

// As long as its signups are many beside the largest; full as far as they were confirmed.
std::string bar(const service::Funnel& funnel, std::int64_t largest) {
    constexpr int width = 30;
    const auto steps = [&](std::int64_t part) {
        return largest > 0 ? (part * width + largest - 1) / largest : 0;
    };
    std::string out;
    for (std::int64_t i = 0; i < steps(funnel.signups); ++i) out += i < steps(funnel.confirmed) ? "█" : "░";
    return out;
}

std::string percent(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? "" : fmt::format("{} %", part * 100 / whole);
}

}  // namespace

Exit stats(const Stats& options, const std::vector<std::string>& origins, service::Store& store) {
    service::StatsQuery query;
    query.by = options.by;
    query.origins = origins;
    query.since = clock_now() - options.days * service::day_ms;
    bool found = true;
    service::look(store, [&](service::Reader& reader) {
        if (options.newsletter.empty()) return;
        const auto all = reader.newsletters();
        const service::Newsletter* one = all->find(options.newsletter);
        found = one != nullptr;
        if (found) query.newsletter = one->id;
    });
    if (!found) {
        return fail(Exit::not_found,
                    fmt::format("there is no newsletter {}; `zgoda newsletter list` shows all",
                                service::printable(options.newsletter)));
    }
    const service::Stats stats = service::funnel(store, query);
    if (options.json) {
        fmt::print("{}\n", boost::json::serialize(service::desk::json_of(stats, query.since)));
        return Exit::done;
    }

    std::vector<std::pair<std::string, service::Funnel>> rows;
    for (const auto& [name, funnel] : stats.rows)
        rows.emplace_back(name.empty() ? "(not known)" : service::printable(name), funnel);
    if (query.by != By::day) {
        std::stable_sort(rows.begin(), rows.end(),
                         [](const auto& a, const auto& b) { return a.second.signups > b.second.signups; });
    }
    std::int64_t largest = 0;
    std::size_t width = 8;
    for (const auto& [name, funnel] : rows) {
        largest = std::max(largest, funnel.signups);
        width = std::max(width, std::min<std::size_t>(name.size(), 60));
    }
    const bool bars = is_decorated(stdout);
    fmt::print("{:<{}}  {:>8} {:>8} {:>10} {:>6} {:>8} {:>7}\n", "", width, "signups", "letters", "confirmed",
               "", "bounced", "left");
    rows.emplace_back("all", stats.all);
    for (const auto& [name, funnel] : rows) {
        fmt::print("{:<{}}  {:>8} {:>8} {:>10} {:>6} {:>8} {:>7}", name, width, funnel.signups,
                   funnel.letters, funnel.confirmed, percent(funnel.confirmed, funnel.signups),
                   funnel.bounced, funnel.left);
        fmt::print("{}{}\n", bars && &name != &rows.back().first ? "  " : "",
                   bars && &name != &rows.back().first ? bar(funnel, largest) : "");
    }
    return Exit::done;
}

}  // namespace zgoda::cli
