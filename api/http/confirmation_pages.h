// /confirm and /not-me: the two answers to a confirmation letter.
//
// GET shows and POST acts, because scanners of mail follow every link, some of them with scripts and posts. A
// post needs the nonce of a page that was shown; without it the page is shown again. Parameters of the query
// never act.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/limiter.h"
#include "api/http/site.h"

namespace zgoda::http {

boost::asio::awaitable<Response> show_confirm(Request& request, const Site& site);

/// Confirms what is ticked. With resend=1, the button of an expired link's page, asks for a fresh letter
/// instead; that counts against the client's quota like a signup.
boost::asio::awaitable<Response> act_confirm(Request& request, const Site& site, Limiter& limiter);

boost::asio::awaitable<Response> show_not_me(Request& request, const Site& site);
boost::asio::awaitable<Response> act_not_me(Request& request, const Site& site);

}  // namespace zgoda::http
