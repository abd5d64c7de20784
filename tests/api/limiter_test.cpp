#include "api/http/limiter.h"

#include <doctest/doctest.h>

#include <string>

using namespace zgoda;
using namespace zgoda::http;
using service::hour_ms;
using service::minute_ms;

namespace {

std::string header(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers)
        if (key == name) return value;
    return "";
}

}  // namespace

TEST_SUITE("limiter") {
    TEST_CASE("a client has so many requests in any hour") {
        Limiter limiter({{60, hour_ms}});
        for (int i = 0; i < 60; ++i) {
            const auto verdict = limiter.take("203.0.113.9", i * minute_ms / 2);  // the 60th at 29.5 min
            REQUIRE(verdict.allowed);
            CHECK(verdict.quotas.at(0).remaining == 59 - i);
        }
        const auto refused = limiter.take("203.0.113.9", 30 * minute_ms);
        CHECK_FALSE(refused.allowed);
        CHECK(refused.retry_after == 30 * minute_ms);  // when the first of them is an hour old
        CHECK_FALSE(limiter.take("203.0.113.9", hour_ms - 1).allowed);
        CHECK(limiter.take("203.0.113.9", hour_ms).allowed);
        CHECK_FALSE(limiter.take("203.0.113.9", hour_ms).allowed);
    }

    TEST_CASE("a refused request is not counted: who waits as told gets in") {
        Limiter limiter({{1, minute_ms}});
        REQUIRE(limiter.take("203.0.113.9", 0).allowed);
        for (int i = 1; i < 60; ++i) CHECK_FALSE(limiter.take("203.0.113.9", i * 1000).allowed);
        CHECK(limiter.take("203.0.113.9", minute_ms).allowed);
    }

    TEST_CASE("what is given back was not counted") {
        Limiter limiter({{2, minute_ms}});
        limiter.give_back("203.0.113.9");  // nothing was taken
        for (int i = 0; i < 10; ++i) {
            CHECK(limiter.take("203.0.113.9", i).allowed);
            limiter.give_back("203.0.113.9");
        }
        CHECK(limiter.stamps() == 0);
        CHECK(limiter.take("203.0.113.9", 10).allowed);
        CHECK(limiter.take("203.0.113.9", 11).allowed);
        CHECK_FALSE(limiter.take("203.0.113.9", 12).allowed);
    }

    TEST_CASE("several rates hold at once") {
        Limiter limiter({{2, minute_ms}, {3, hour_ms}});
        CHECK(limiter.take("a", 0).allowed);
        CHECK(limiter.take("a", 0).allowed);
        CHECK(limiter.take("a", 1000).retry_after == minute_ms - 1000);
        CHECK(limiter.take("a", minute_ms).allowed);
        CHECK(limiter.take("a", minute_ms).retry_after == hour_ms - minute_ms);
        CHECK(limiter.take("a", hour_ms).allowed);
    }

    TEST_CASE("a client is an IPv4 address or an IPv6 /64") {
        Limiter limiter({{1, hour_ms}});
        CHECK(limiter.take("203.0.113.9", 0).allowed);
        CHECK(limiter.take("203.0.113.10", 0).allowed);
        CHECK_FALSE(limiter.take("::ffff:203.0.113.9", 0).allowed);
        CHECK(limiter.take("2001:db8:0:1::1", 0).allowed);
        CHECK_FALSE(limiter.take("2001:db8:0:1:ffff::2", 0).allowed);
        CHECK(limiter.take("2001:db8:0:2::1", 0).allowed);
        CHECK(limiter.take("unix", 0).allowed);
        CHECK_FALSE(limiter.take("unix", 0).allowed);
    }

    TEST_CASE("memory is bounded: who asked longest ago is forgotten") {
        Limiter limiter({{1, hour_ms}}, 1000);
        for (int i = 0; i < 10'000; ++i)
            REQUIRE(
                limiter.take("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), i).allowed);
        CHECK(limiter.stamps() == 1000);
        CHECK(limiter.take("10.0.0.0", 10'000).allowed);           // forgotten
        CHECK_FALSE(limiter.take("10.0.39.249", 10'001).allowed);  // the last one is not
        // An hour later nobody has anything left to count.
        CHECK(limiter.take("10.1.0.0", 2 * hour_ms).allowed);
        CHECK(limiter.stamps() == 1);
    }

    TEST_CASE("a clock that steps back gives nobody more") {
        Limiter limiter({{2, hour_ms}});
        CHECK(limiter.take("a", hour_ms).allowed);
        CHECK(limiter.take("a", 0).allowed);
        CHECK_FALSE(limiter.take("a", 0).allowed);
        CHECK_FALSE(limiter.take("a", hour_ms + minute_ms).allowed);
    }

    TEST_CASE("a rate of none refuses, no rate allows") {
        CHECK_FALSE(Limiter({{0, hour_ms}}).take("a", 0).allowed);
        Limiter unlimited({});
        for (int i = 0; i < 1000; ++i) REQUIRE(unlimited.take("a", 0).allowed);
        CHECK(unlimited.stamps() == 0);
    }

    TEST_CASE("the reply tells the client where it stands") {
        Limiter limiter({{2, hour_ms}, {10, 24 * hour_ms}});
        Response first;
        add_rate_limit_headers(first, limiter.take("a", 0));
        CHECK(header(first, "RateLimit-Policy") == "\"client\";q=2;w=3600, \"client-2\";q=10;w=86400");
        CHECK(header(first, "RateLimit") == "\"client\";r=1;t=0, \"client-2\";r=9;t=0");
        CHECK(header(first, "Retry-After").empty());

        limiter.take("a", 500);
        Response refused;
        add_rate_limit_headers(refused, limiter.take("a", 1500));
        CHECK(header(refused, "RateLimit") == "\"client\";r=0;t=3599, \"client-2\";r=8;t=0");
        CHECK(header(refused, "Retry-After") == "3599");  // 3598.5 rounded up

        Response unlimited;
        add_rate_limit_headers(unlimited, Limiter({}).take("a", 0));
        CHECK(unlimited.headers.empty());
    }
}
