// GET /v1/tickets/{ticket}: what became of the letter that a signup asked for. Reads only.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/limiter.h"
#include "api/http/site.h"

namespace zgoda::http {

/// `refusals` counts how often one client network was told that a mailbox does not exist; beyond it the
/// letter counts as sent, so that nobody can ask us for a list of mailboxes.
boost::asio::awaitable<Response> show_ticket(Request& request, const Site& site, Limiter& refusals);

}  // namespace zgoda::http
