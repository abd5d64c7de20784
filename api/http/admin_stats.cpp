#include "api/http/admin_stats.h"

#include <memory>

#include "api/http/aside.h"
#include "service/desk_json.h"

namespace zgoda::http {

namespace asio = boost::asio;
using By = service::StatsQuery::By;

namespace {

std::optional<By> parse_by(const std::string& word) {
    if (word.empty() || word == "newsletter") return By::newsletter;
    if (word == "day") return By::day;
    if (word == "form") return By::form;
    if (word == "source") return By::source;
    if (word == "locale") return By::locale;
    return std::nullopt;
}

}  // namespace

asio::awaitable<Response> show_stats(Request& request, const Desk& desk, const std::string&) {
    Parameters parameters(request, {"newsletter", "days", "by"});
    const std::string slug = parameters.text("newsletter");
    const std::int64_t days = parameters.number("days", 30, 36'500);
    const auto by = parse_by(parameters.text("by"));
    if (!by) parameters.refuse("by", "it is newsletter, day, form, source or locale");
    if (parameters.problem()) co_return *parameters.problem();

    service::StatsQuery query;
    query.since = desk.now() - days * service::day_ms;
    query.by = *by;
    query.origins = desk.origins;
    if (!slug.empty()) {
        const auto all = std::make_shared<std::shared_ptr<const service::Newsletters>>();
        service::Store::Query look = [all](service::Reader& reader) { *all = reader.newsletters(); };
        auto trouble = co_await see(desk, std::move(look));
        if (trouble) co_return std::move(*trouble);
        const service::Newsletter* newsletter = (*all)->find(slug);
        if (newsletter == nullptr) co_return admin_problem(404, "not_found", "There is no such newsletter.");
        query.newsletter = newsletter->id;
    }
    const auto stats = std::make_shared<service::Stats>();
    std::function<void()> job = [stats, query, &store = desk.store] {
        *stats = service::funnel(store, query);
    };
    const bool ran = co_await desk.aside.run(std::move(job));
    if (!ran) {
        Response busy = admin_problem(503, "unavailable", "Others are waiting for statistics already.");
        busy.headers.emplace_back("Retry-After", "5");
        co_return busy;
    }
    co_return admin_answer(200, service::desk::json_of(*stats, query.since));
}

}  // namespace zgoda::http
