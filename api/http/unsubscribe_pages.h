// /unsubscribe: leaving, by a person's two clicks or by her mail program's one (RFC 8058).
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/site.h"

namespace zgoda::http {

/// GET: the masked address, this newsletter, a button.
boost::asio::awaitable<Response> show_unsubscribe(Request& request, const Site& site);

/// POST: leaves. The body List-Unsubscribe=One-Click needs no nonce, is never limited and gets a line of
/// text; it says the same the second time. Any other body must carry the page's nonce, or the page is shown
/// again.
boost::asio::awaitable<Response> act_unsubscribe(Request& request, const Site& site);

}  // namespace zgoda::http
