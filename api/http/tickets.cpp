#include "api/http/tickets.h"

#include <boost/json.hpp>
#include <chrono>
#include <memory>

#include "api/http/store_awaitable.h"
#include "service/ticket.h"

namespace zgoda::http {

namespace asio = boost::asio;
using service::TicketStatus;

namespace {

// "203.0.113.0" of "203.0.113.0/24": the limiter takes addresses, and a network's first one stands for it.
std::string network_of(const Request& request) {
    const std::string network = service::client_network(request.client);
    return network.substr(0, network.find('/'));
}

}  // namespace

asio::awaitable<Response> show_ticket(Request& request, const Site& site, Limiter& refusals) {
    const service::TimeMs now = site.now();
    const auto ticket = service::unseal(request.path_parameter, now, site.rules.keys);
    if (!ticket) co_return refuse(request, site, 404, "unknown_ticket");

    const auto status = std::make_shared<TicketStatus>();
    service::Store::Query query = [status, ticket, now](service::Reader& reader) {
        *status = service::ticket_status(reader, *ticket, now);
    };
    const auto result = co_await read(site.store, std::move(query));
    if (result.commit != service::Commit::done) co_return unavailable(request, site, result);
    if (*status == TicketStatus::refused) {
        const auto clock = std::chrono::steady_clock::now().time_since_epoch();
        const auto verdict = refusals.take(
            network_of(request), std::chrono::duration_cast<std::chrono::milliseconds>(clock).count());
        if (!verdict.allowed) *status = TicketStatus::sent;
    }
    const std::string word(service::word(*status));
    const boost::json::object answer{{"status", word},
                                     {"detail", site.text(reader_language(request, site), "ticket." + word)}};
    co_return Response{200,
                       "application/json",
                       boost::json::serialize(answer),
                       {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

}  // namespace zgoda::http
