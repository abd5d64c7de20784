// The private listener, for the machine's own eyes: health, metrics and the admin API (admin_api.h). It knows
// no path of the public one.
//
// A page in an administrator's browser could reach a loopback port by rebinding its own name to it; that is
// what Options::hosts of the listener is for, see private_hosts().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/metrics.h"
#include "api/http/route.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::http {

struct PrivateOptions {
    service::Store& store;  // these three outlive the handler
    const service::Rules& rules;
    Metrics& metrics;
    std::filesystem::path data_folder;               // where the database grows
    std::uintmax_t least_free = 64 * 1024 * 1024;    // bytes; with less the disk is as good as full
    std::function<std::int64_t()> queue_depth = {};  // units of work that wait; may be empty
    std::function<std::int64_t()> connections = {};  // open ones; may be empty
    std::function<service::TimeMs()> now = {};       // wall clock; empty: the system's

    service::NewsletterRules newsletter_rules = {};
    std::string public_url = {};            // without a slash at its end
    std::vector<std::string> origins = {};  // whose pages statistics tell one by one
    std::string_view openapi = {};          // the document of /openapi.json; lives as long as the program
};

///     GET /livez    200 while the process answers at all
///     GET /readyz   200, or 503 naming what fails: storage (no commit), disk, mailer (letters have been due
///     for ten
///                   minutes in which no mailer has run)
///     GET /metrics  Prometheus text
///     GET /openapi.json  what all of this is, in OpenAPI 3.1
///     /v1/admin/...  the admin API
Handler private_api(PrivateOptions options);

/// The names by which the private listener may be called: loopback's, and the one it listens on.
std::vector<std::string> private_hosts(std::string_view listen);

}  // namespace zgoda::http
