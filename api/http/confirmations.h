// POST /v1/confirmations: the six digits of a letter, typed into the form that caused it.
//
// {"ticket", "code"} as JSON or as a form. 200 confirmed; 422 code_wrong with tries_left; 410 code_dead; 404
// for a ticket that is unknown or expired; 429. A ticket that led to no letter is answered like one that did.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "api/http/limiter.h"
#include "api/http/origin.h"
#include "api/http/site.h"

namespace zgoda::http {

/// How many wrong codes are listened to: of one client network, and in all, so that nobody gets through the
/// door by knocking at all of them. Only wrong ones count; what a letter and a mailbox bear is
/// service/code.h.
struct WrongCodes {
    Limiter of_network{{{100, service::hour_ms}}, 100'000};
    Limiter in_all{{{1'000, service::hour_ms}}};
};

boost::asio::awaitable<Response> try_code(Request& request, const Site& site, const Origins& origins,
                                          WrongCodes& wrong_codes);

}  // namespace zgoda::http
