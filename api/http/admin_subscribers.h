// /v1/admin/subscribers: list, search, show with the story, unsubscribe, confirm with evidence, erase.
//
// People are found by a body and named by their id: no address stands in a path or a query, which proxies
// log.
#pragma once

#include "api/http/admin.h"

namespace zgoda::http {

boost::asio::awaitable<Response> list_subscribers(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> search_subscribers(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> show_subscriber(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> unsubscribe_subscriber(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> confirm_subscriber(Request&, const Desk&, const std::string& who);
boost::asio::awaitable<Response> erase_subscriber(Request&, const Desk&, const std::string& who);

}  // namespace zgoda::http
