// Which pages of other origins may post to us and read the answer (the Fetch standard's CORS).
//
// Ours (of public_url) and the configured ones, compared exactly. Immutable, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"

namespace zgoda::http {

/// "https://news.example" of "HTTPS://News.example:443/path": as browsers send it.
std::string origin_of(std::string_view url);

class Origins {
 public:
    Origins(std::string_view public_url, const std::vector<std::string>& allowed);

    /// May this request change something? Without an Origin, yes. "null" (a sandboxed frame, but also any
    /// page with `Referrer-Policy: no-referrer`, as ours have) may for a form that navigates, whose answer no
    /// script reads.
    bool admits(const Request& request) const;

    /// May a form on a page behind somebody's own link have sent this? Not if the browser says that it comes
    /// from another site, or names another origin than ours; the allowed ones have no such forms. Browsers
    /// send "null" from our own pages, because those send no referrer.
    bool from_own_form(const Request& request) const;

    /// Did a page of ours send it? Without an Origin, nobody knows. Our pages send no referrer, and a form on
    /// one has the Origin "null" therefore; the browser's own word tells it from a stranger's.
    bool own(const Request& request) const;

    /// `Vary: Origin` always, and Access-Control-Allow-Origin for an origin of the list; never for "null".
    void add_headers(const Request& request, Response& response) const;

    /// The answer to a preflight.
    Response preflight(const Request& request, std::string_view methods) const;

 private:
    bool known(std::string_view origin) const;

    std::vector<std::string> origins_;
};

}  // namespace zgoda::http
