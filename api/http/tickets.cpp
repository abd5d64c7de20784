#include "api/http/tickets.h"

#include <boost/json.hpp>
#include <memory>

#include "api/http/store_awaitable.h"
#include "service/ticket.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::TicketStatus;

bool Refusals::may_tell(const std::string& network, service::Id letter) {
    constexpr std::size_t most = 50'000;
    const std::lock_guard lock(mutex_);
    if (told_.contains({network, letter})) return true;
    if (!limiter_.take(network, steady_now()).allowed) return false;
    if (told_.size() >= most) told_.clear();
    told_.emplace(network, letter);
    return true;
}

asio::awaitable<Response> show_ticket(Request& request, const Site& site, Refusals& refusals) {
    const service::TimeMs now = site.now();
    const auto ticket = service::unseal(request.path_parameter, now, site.rules.keys);
    if (!ticket) co_return refuse(request, site, 404, "unknown_ticket");

    const auto status = std::make_shared<TicketStatus>();
    service::Store::Query query = [status, ticket, now](service::Reader& reader) {
        *status = service::ticket_status(reader, *ticket, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*status == TicketStatus::refused && !refusals.may_tell(network_of(request), ticket->letter))
        *status = TicketStatus::sent;
    const std::string word(service::word(*status));
    const boost::json::object answer{{"status", word},
                                     {"detail", site.text(reader_language(request, site), "ticket." + word)}};
    co_return Response{200,
                       "application/json",
                       boost::json::serialize(answer),
                       {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

}  // namespace zgoda::http
