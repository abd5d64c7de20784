// The table of {method, path, handler} and the look-up in it.
//
// A path is literal but for at most one parameter in braces, which stands for one or more characters without
// '/':
// "/newsletters/{slug}/embed", "/embed.{hash}.js". The first row that fits wins, so literal rows go before
// those with a parameter.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string_view>
#include <vector>

#include "api/http/message.h"

namespace zgoda::http {

/// Runs on a network thread and must not block it; awaits what takes time. The request lives until the answer
/// is complete. An exception becomes a 500. A handler that needs things is a named coroutine, and the
/// function a plain lambda that calls it (g++ 12 miscompiles coroutines that are lambdas with captures):
///     [&store](const Request& request) { return show_tickets(request, store); }
using Handler = std::function<boost::asio::awaitable<Response>(Request&)>;

struct Route {
    Method method;
    std::string_view path;  // a string literal: it goes into the log
    Handler handler;
};

using Routes = std::vector<Route>;

/// Calls the handler that fits, after setting request.route and request.path_parameter. HEAD is answered by
/// GET. No such path: 404; no such method on it: 405 with Allow. `routes` must outlive the awaitable.
boost::asio::awaitable<Response> dispatch(const Routes& routes, Request& request);

}  // namespace zgoda::http
