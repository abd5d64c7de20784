// How many requests one client may make: every rate holds at once, "60/h" meaning at most 60 in any hour.
//
// A client is an IPv4 address or an IPv6 /64, since a household gets at least that; text that is no address
// ("unix") counts as one client. Memory is bounded: beyond `max_stamps` remembered requests the clients that
// asked longest ago are forgotten. Thread-safe. Time is an argument, in milliseconds of any clock that does
// not jump.

#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "service/time.h"

namespace zgoda::http {

class Limiter {
 public:
    struct Quota {
        service::Rate rate;
        int remaining = 0;
        service::DurationMs reset = 0;  // until one more request fits (0: one fits now)
    };

    struct Verdict {
        bool allowed = true;
        service::DurationMs retry_after = 0;  // 0 when allowed
        std::vector<Quota> quotas;            // one a rate, in the order of the settings
    };

    /// No rates: everything is allowed.
    explicit Limiter(std::vector<service::Rate> rates, std::size_t max_stamps = 500'000);

    /// Counts this request if every rate has room for it. A refused one is not counted: who waits as told
    /// gets in.
    Verdict take(std::string_view client, service::TimeMs now);

    /// Takes back the client's latest one.
    void give_back(std::string_view client);

    std::size_t stamps() const;  // remembered requests, for a metric

 private:
    using Key = std::array<unsigned char, 16>;

    struct Entry {
        Key key;
        std::vector<service::TimeMs> taken;  // ascending, none older than the longest window
    };

    static Key key_of(std::string_view client);

    const std::vector<service::Rate> rates_;
    const std::size_t max_stamps_;
    service::DurationMs longest_ = 0;
    mutable std::mutex mutex_;
    std::list<Entry> entries_;  // who asked last stands first
    std::map<Key, std::list<Entry>::iterator> index_;
    std::size_t stamps_ = 0;
    service::TimeMs last_ = 0;
};

/// Of a clock that does not jump, as the limiters want it.
service::TimeMs steady_now();

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers: "client";q=60;w=3600), and
/// Retry-After when refused, in whole seconds rounded up. Adds nothing when there is no rate.
void add_rate_limit_headers(Response& response, const Limiter::Verdict& verdict);

}  // namespace zgoda::http
