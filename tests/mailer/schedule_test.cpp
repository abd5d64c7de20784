#include "mailer/schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

using namespace zgoda::mailer;

TEST_SUITE("schedule") {
    TEST_CASE("waits grow from half a minute to four hours, and are spread by a fifth") {
        struct Row {
            int attempt;
            std::int64_t seconds;
            const char* why;
        };
        const Row rows[] = {
            {1, 30, "a hiccup"},
            {2, 120, "a restart"},
            {3, 600, "greylisting, usually 5 min"},
            {4, 1800, "a longer trouble"},
            {5, 3600, "an outage"},
            {6, 7200, "an outage"},
            {7, 14400, "until the end"},
            {8, 14400, "until the end"},
            {1000, 14400, "until the end"},
        };
        for (const Row& row : rows) {
            const std::string why = row.why;
            CAPTURE(why);
            std::int64_t least = std::numeric_limits<std::int64_t>::max(), most = 0;
            for (std::uint64_t i = 0; i < 20'000; ++i) {
                const std::int64_t ms = next_attempt_ms(row.attempt, i * 0x9E3779B97F4A7C15U);
                least = std::min(least, ms);
                most = std::max(most, ms);
            }
            CHECK(least >= row.seconds * 800);
            CHECK(least < row.seconds * 810);
            CHECK(most <= row.seconds * 1200);
            CHECK(most > row.seconds * 1190);
        }
    }

    TEST_CASE("a letter that may have arrived waits for ten minutes") {
        for (std::uint64_t i = 0; i < 1000; ++i) {
            const std::int64_t ms = uncertain_wait_ms(i * 0x9E3779B97F4A7C15U);
            REQUIRE(ms >= 480'000);
            REQUIRE(ms <= 720'000);
        }
    }
}
