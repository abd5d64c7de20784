// POST /v1/admin/subscriptions: a signup that another server of the house sends on for its reader.
//
// The same rules as the public form's, the mail budget included; no proof of work, no limit by client, no
// Origin. Its members are the public one's and two more: `client_ip` and `user_agent` of the reader, as the
// evidence of her consent.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> sign_up_for_reader(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
