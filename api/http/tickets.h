// GET /v1/tickets/{ticket}: what became of the letter that a signup asked for. Reads only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "api/http/limiter.h"
#include "api/http/site.h"

namespace zgoda::http {

/// Of how many letters one client network may be told that their mailbox does not exist: three a day. Of one
/// that it was told before it is told again. Thread-safe.
class Refusals {
 public:
    bool may_tell(const std::string& network, service::Id letter);

 private:
    std::mutex mutex_;
    std::set<std::pair<std::string, service::Id>> told_;
    Limiter limiter_{{{3, service::day_ms}}, 50'000};
};

/// Beyond `refusals` a refused letter counts as sent, so that nobody can ask us for a list of mailboxes.
boost::asio::awaitable<Response> show_ticket(Request& request, const Site& site, Refusals& refusals);

}  // namespace zgoda::http
