// /unsubscribe: leaving, by a person's two clicks or by her mail program's one (RFC 8058); and /undo, which
// takes back what a person just did, or a change of her address.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/origin.h"
#include "api/http/site.h"

namespace zgoda::http {

/// GET: the masked address, this newsletter, a tick for all others (none is named), a reason if she likes, a
/// button.
boost::asio::awaitable<Response> show_unsubscribe(Request& request, const Site& site);

/// POST: leaves. The body List-Unsubscribe=One-Click needs no nonce, is never limited and gets a line of
/// text; it says the same the second time. Any other body must carry the page's nonce, or the page is shown
/// again, and must not come from another site (403); its answer has the button that undoes it.
boost::asio::awaitable<Response> act_unsubscribe(Request& request, const Site& site, const Origins& origins);

/// GET: what would be taken back, and a button. POST with the page's nonce takes it back, once.
boost::asio::awaitable<Response> show_undo(Request& request, const Site& site);
boost::asio::awaitable<Response> act_undo(Request& request, const Site& site);

}  // namespace zgoda::http
