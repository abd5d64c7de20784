// /v1/admin/newsletters: list, create, show, change, close and open.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> list_all_newsletters(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> create_newsletter(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> show_one_newsletter(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> change_newsletter(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> close_newsletter(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> open_newsletter(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
