// Her settings: the page behind a preferences link, the form that sends one, and the pages that confirm or
// refuse a change of address.
//
// Everything works without JavaScript. A save answers 303 to the page under its fresh token, so that a reload
// repeats nothing.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/limiter.h"
#include "api/http/origin.h"
#include "api/http/site.h"

namespace zgoda::http {

/// GET /preferences?t=: the settings; without a token the form that asks for the link.
boost::asio::awaitable<Response> show_preferences(Request& request, const Site& site);
/// POST /preferences?t=, `action` = save, change_address, download or erase.
boost::asio::awaitable<Response> act_preferences(Request& request, const Site& site, Limiter& limiter);

/// POST /v1/preference-links: {"email"} or a form; 202 (a page: 303) with the same bytes for every address.
boost::asio::awaitable<Response> send_preference_link(Request& request, const Site& site,
                                                      const Origins& origins, Limiter& limiter);
/// GET /preferences/sent, where the form ends.
boost::asio::awaitable<Response> show_preference_link_sent(Request& request, const Site& site);

/// For /confirm and /not-me, when a token is of no confirmation letter: shows, or does, what a letter of kind
/// address_change asks; any other token is an unknown link. The act wants the page's nonce and shows the page
/// again without it.
boost::asio::awaitable<Response> show_address_change(Request& request, const Site& site);
boost::asio::awaitable<Response> act_address_change(Request& request, const Site& site);
boost::asio::awaitable<Response> show_refuse_address_change(Request& request, const Site& site);
boost::asio::awaitable<Response> act_refuse_address_change(Request& request, const Site& site);

/// The page for a preferences link that has expired (410) or is none of ours (404): says so, with the form
/// that sends a fresh one.
Response ask_for_preference_link(const Request& request, const Site& site, int status);

}  // namespace zgoda::http
