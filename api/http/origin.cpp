#include "api/http/origin.h"

#include <algorithm>

#include "api/http/accept.h"

namespace zgoda::http {

std::string origin_of(std::string_view url) {
    const std::size_t scheme_end = url.find("://");
    if (scheme_end == url.npos) return {};
    std::string origin(url.substr(0, url.find_first_of("/?#", scheme_end + 3)));
    std::transform(origin.begin(), origin.end(), origin.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::string_view default_port = origin.starts_with("https:") ? ":443" : ":80";
    if (origin.ends_with(default_port)) origin.resize(origin.size() - default_port.size());
    return origin;
}

Origins::Origins(std::string_view public_url, const std::vector<std::string>& allowed)
    : origins_{origin_of(public_url)} {
    for (const std::string& one : allowed) origins_.push_back(origin_of(one));
}

bool Origins::known(std::string_view origin) const {
    return !origin.empty() && std::find(origins_.begin(), origins_.end(), origin) != origins_.end();
}

bool Origins::admits(const Request& request) const {
    if (request.origin.empty() || known(request.origin)) return true;
    if (request.origin != "null") return false;
    const std::string type = media_type(request.content_type);
    if (type != "application/x-www-form-urlencoded" && type != "multipart/form-data") return false;
    if (!request.sec_fetch_mode.empty()) return request.sec_fetch_mode == "navigate";
    return prefers_page(request.accept, false);
}

bool Origins::from_own_form(const Request& request) const {
    const std::string& site = request.sec_fetch_site;
    if (!site.empty() && site != "same-origin" && site != "none") return false;
    return request.origin.empty() || request.origin == "null" || request.origin == origins_.front();
}

bool Origins::own(const Request& request) const {
    if (request.origin == "null") return request.sec_fetch_site == "same-origin";
    return !request.origin.empty() && request.origin == origins_.front();
}

void Origins::add_headers(const Request& request, Response& response) const {
    response.headers.emplace_back("Vary", "Origin");
    if (known(request.origin)) response.headers.emplace_back("Access-Control-Allow-Origin", request.origin);
}

Response Origins::preflight(const Request& request, std::string_view methods) const {
    Response response{204, {}, {}, {}};
    if (known(request.origin)) {
        response.headers.emplace_back("Access-Control-Allow-Methods", methods);
        response.headers.emplace_back("Access-Control-Allow-Headers", "content-type");
        response.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    return response;
}

}  // namespace zgoda::http
