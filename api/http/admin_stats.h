// GET /v1/admin/stats: the funnel of `zgoda stats`, by newsletter, day, form, source or language.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> show_stats(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
