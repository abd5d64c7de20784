// A request as handlers see it and the response they give back: plain values, no stream behind them but for
// one that is too large to be held.
//
// A Request is made by the session after the framing rules (framing.h) have passed. Everything a decision may
// rest on (host, origin, authorization, x_forwarded_for) was copied before the body was read, so no chunked
// trailer can change it. All functions here are pure and may be called from any thread.

#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zgoda::http {

enum class Method { get, head, post, put, patch, del, options, other };

/// "GET", "POST", ...; "OTHER" for what we have no name for, so that a log line has a closed set of words.
std::string_view name_of(Method method);

struct Request {
    Method method = Method::get;
    std::string path;            // percent-decoded, begins with '/' (or is "*"); no control characters
    std::string query;           // as sent, without '?'; read it with query_parameter()
    std::string_view route;      // set by dispatch(): the template of the table, safe to log
    std::string path_parameter;  // set by dispatch(): what stood for {slug}
    std::string client;          // the reader's address (client_address.h), or "unix"

    std::string host;
    std::string origin;
    std::string authorization;
    std::string content_type;
    std::string accept;
    std::string accept_language;
    std::string user_agent;  // cut at 256 bytes
    std::string
        x_forwarded_for;  // all fields joined with ", "; only for whoever audits proxies, see `client`
    std::string sec_fetch_site;
    std::string sec_fetch_mode;
    std::string access_control_request_method;
    std::string if_none_match;

    std::string body;

    /// Set by the handler of a form that was shown in a frame: the path of that form's page. Answers that say
    /// what is wrong may be framed then where it may.
    std::string framed_form;
};

struct Response {
    int status = 200;
    std::string content_type;  // empty: no Content-Type
    std::string body;          // not sent on HEAD, 204 and 304
    std::vector<std::pair<std::string, std::string>> headers;

    /// A reply that is too large to be held: goes out after `body`, piece by piece, until one is empty.
    /// nullopt, or an exception: the rest cannot be had, and the connection is cut so that nobody takes it
    /// for the whole.
    std::function<boost::asio::awaitable<std::optional<std::string>>()> pieces = {};
};

/// The first value of this name in the query, decoded ('+' is a space). Nothing when it is absent or its
/// encoding is bad.
std::optional<std::string> query_parameter(const Request& request, std::string_view name);

/// RFC 3986 percent-decoding. Nothing for a '%' without two hex digits, and for %00.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

/// ASCII only; for header names and tokens. (beast::iequals of Boost 1.81 reads past the end.)
bool equal_ignoring_case(std::string_view left, std::string_view right);

/// Without the spaces and tabs around it.
std::string_view trimmed(std::string_view text);

/// "application/json" of "Application/JSON; charset=utf-8": lower case, without parameters.
std::string media_type(std::string_view content_type);

/// "/fields/a~1b" of "/fields" and "a/b" (RFC 6901).
std::string json_pointer(std::string_view parent, std::string_view name);

/// The reason phrase of RFC 9110 ("Not Found").
std::string_view reason_of(int status);

/// An application/problem+json answer (RFC 9457) with type about:blank, the status's own title and the same
/// as `code` ("not_found"); `detail` may be empty. It is never cached.
Response problem(int status, std::string_view detail);

/// The security headers of a page: a policy that loads nothing foreign, no referrer (tokens are in our
/// addresses), no sniffing, no caching. `frame_ancestors` are the origins that may frame it, or "'none'" for
/// a page that is made to be framed where no origin may; "" is any other page, which X-Frame-Options guards
/// too. `form_targets` are further origins that a form on the page
/// may end at: a redirect after the post counts as well.
void add_page_headers(Response& response, std::string_view frame_ancestors = {},
                      std::string_view form_targets = {});

}  // namespace zgoda::http
