#include "mailer/pace.h"

#include <doctest/doctest.h>

using zgoda::mailer::Pace;
using namespace std::chrono_literals;

namespace {

const Pace::Time start = Pace::Time{} + 1h;

}  // namespace

TEST_SUITE("pace") {
    TEST_CASE("without limits every letter may begin at once") {
        Pace pace;
        for (int i = 0; i < 100; ++i) {
            CHECK(pace.ready_at("ada@example.org") <= start);
            pace.begun("ada@example.org", start);
        }
    }

    TEST_CASE("letters keep their distance, whoever they are for") {
        Pace pace(100, 0);
        CHECK(pace.ready_at("ada@example.org") <= start);
        pace.begun("ada@example.org", start);
        CHECK(pace.ready_at("ben@example.com") == start + 10ms);
        pace.begun("ben@example.com", start + 10ms);
        CHECK(pace.ready_at("ada@example.org") == start + 20ms);
    }

    TEST_CASE("who is late catches up a little, not all of it") {
        Pace pace(100, 0);
        pace.begun("ada@example.org", start);
        pace.begun("ada@example.org", start + 14ms);  // could have begun at 10
        CHECK(pace.ready_at("ada@example.org") == start + 20ms);
        int at_once = 0;
        for (; pace.ready_at("ada@example.org") <= start + 1h; ++at_once)
            pace.begun("ada@example.org", start + 1h);
        CHECK(at_once == 3);
    }

    TEST_CASE("letters to one domain keep theirs, and hold up no other domain") {
        Pace pace(0, 60);
        pace.begun("ada@example.org", start);
        CHECK(pace.ready_at("ben@example.org") == start + 1s);
        CHECK(pace.ready_at("ada@example.com") <= start);
        pace.begun("ben@example.org", start + 5s);
        CHECK(pace.ready_at("ada@example.org") == start + 6s);
    }

    TEST_CASE("many domains are remembered no longer than they must be") {
        Pace pace(0, 60);
        for (int i = 0; i < 5000; ++i) pace.begun("ada@" + std::to_string(i) + ".example", start + i * 10ms);
        CHECK(pace.ready_at("ada@4999.example") == start + 4999 * 10ms + 1s);
        CHECK(pace.ready_at("ada@0.example") <= start + 50s);
    }
}
