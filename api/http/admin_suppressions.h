// /v1/admin/suppressions: list, add, remove.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> list_suppressions(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> add_suppression(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> remove_suppressions(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
