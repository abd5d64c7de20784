// Points in time and spans of time, as the whole program counts them: integer milliseconds, UTC.
//
// service/ never asks what time it is: "now" arrives as an argument, drawn before a unit of work is
// submitted, so that a unit that runs twice writes the same twice. Outside the database a time is RFC 3339
// with milliseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zgoda::service {

using TimeMs = std::int64_t;      // since 1970-01-01T00:00:00Z
using DurationMs = std::int64_t;  // a span, never negative in settings

constexpr DurationMs second_ms = 1000;
constexpr DurationMs minute_ms = 60 * second_ms;
constexpr DurationMs hour_ms = 60 * minute_ms;
constexpr DurationMs day_ms = 24 * hour_ms;

// "2026-11-22T10:00:00.000Z"; years 0000 to 9999.
std::string rfc3339(TimeMs time);

// The reverse, and also "2026-11-22" (midnight UTC) and any offset; nullopt for what is no such time.
std::optional<TimeMs> parse_rfc3339(std::string_view text);

// "90s", "15min", "24h", "30d". nullopt for anything else, zero and what does not fit included.
std::optional<DurationMs> parse_duration(std::string_view text);

// At most `count` in any `window`.
struct Rate {
    int count = 0;
    DurationMs window = 0;

    friend bool operator==(const Rate&, const Rate&) = default;
};

// "1/15min 3/24h": several rates separated by spaces, all of which hold. Empty text is no limit: an empty
// list.
std::optional<std::vector<Rate>> parse_rates(std::string_view text);

}  // namespace zgoda::service
