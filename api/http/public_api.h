// The public listener: everything that readers, forms and mail programs may ask for.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/metrics.h"
#include "api/http/route.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::http {

struct PublicOptions {
    service::Store& store;  // these three outlive the handler
    const service::Rules& rules;
    Metrics& metrics;
    std::map<std::string, std::string, std::less<>> templates;  // page.*.html and zgoda.css by name
    std::string public_url;
    std::vector<std::string> allowed_origins;
    std::vector<service::Rate> per_ip;  // signups and fresh letters of one client
    std::string imprint;                // at the foot of every page

    std::function<service::TimeMs()> now = {};              // wall clock; empty: the system's
    std::function<void(std::string_view)> on_trouble = {};  // what a handler threw, for the log; may be empty
};

/// Throws std::runtime_error, naming the file, for a template that cannot be used.
Handler public_api(PublicOptions options);

/// For the listener's on_refusal: what no handler answered carries the same CORS headers, so that a form on
/// another page can tell why.
std::function<void(const Request&, Response&)> public_refusals(
    const std::string& public_url, const std::vector<std::string>& allowed_origins);

}  // namespace zgoda::http
