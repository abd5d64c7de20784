// The pages that a reader signs up on, and what forms on other pages ask about the newsletters.
//
// Nothing here writes. Texts and names are in the reader's language: ?locale=, Accept-Language, the
// newsletter's own.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "api/http/site.h"

namespace zgoda::http {

/// GET /: all newsletters that are open and listed, in one form.
boost::asio::awaitable<Response> show_all_newsletters(Request& request, const Site& site);

/// GET /newsletters/{slug}: one, listed or not. A closed one has no form.
boost::asio::awaitable<Response> show_newsletter(Request& request, const Site& site);

/// GET /newsletters/{slug}/embed: the same form for a frame on a page of the allowed origins.
boost::asio::awaitable<Response> show_framed_newsletter(Request& request, const Site& site);

/// GET /sent and /newsletters/{slug}/sent: where a form without JavaScript ends. The same for everybody.
boost::asio::awaitable<Response> show_sent(Request& request, const Site& site);

/// GET /newsletters/{slug}/embed/sent: where the form in a frame ends.
boost::asio::awaitable<Response> show_framed_sent(Request& request, const Site& site);

/// GET /v1/newsletters.
boost::asio::awaitable<Response> list_newsletters(Request& request, const Site& site);

/// The form that was posted, again, with what is wrong beside the fields (422); in its frame if it came from
/// there.
boost::asio::awaitable<Response> show_form_again(Request& request, const Site& site, service::SignupForm form,
                                                 service::Refusal refusal, bool in_frame);

}  // namespace zgoda::http
