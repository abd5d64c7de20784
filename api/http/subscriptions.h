// POST /v1/subscriptions: a form post becomes a signup.
//
// JSON, urlencoded and multipart carry the same names. In JSON the newsletters' own fields are the object
// `fields`; in a form they are called `fields[city]`. A repeated form key is a list; in JSON a list of one
// may be a string. Members that we do not know are left alone: forms carry all sorts of things.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "api/http/limiter.h"
#include "api/http/metrics.h"
#include "api/http/origin.h"
#include "api/http/site.h"

namespace zgoda::http {

struct ParsedSignup {
    service::SignupForm form;
    std::vector<std::string>
        wrong_type;         // JSON pointers of members that are neither text nor what they must be
    bool in_frame = false;  // a form that is shown in a frame, and ends there
};

/// nullopt: not JSON (RFC 8259, at most 4 levels deep; of a name that comes twice the last counts), or not a
/// form.
std::optional<ParsedSignup> parse_signup_json(std::string_view body);
std::optional<ParsedSignup> parse_signup_form(std::string_view content_type, std::string_view body);

/// What a client is told of a signup: 202, or 422 with all that is wrong. `wrong_type` as in ParsedSignup.
Response signup_accepted(const service::SignupOutcome&, const std::string& ticket,
                         const std::optional<std::string>& suggestion);
Response signup_refused(const service::Refusal&, const service::Texts&);
service::Refusal refusal_of(const std::vector<std::string>& wrong_type, std::string locale,
                            const service::Texts&);

boost::asio::awaitable<Response> subscribe(Request& request, const Site& site, const Origins& origins,
                                           Limiter& limiter, Metrics& metrics);

/// Takes one from the client's quota. The 429 to give if there is nothing left.
std::optional<Response> over_limit(const Request& request, const Site& site, Limiter& limiter);

}  // namespace zgoda::http
