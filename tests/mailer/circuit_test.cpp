#include "mailer/circuit.h"

#include <doctest/doctest.h>

using zgoda::mailer::Circuit;

TEST_SUITE("circuit") {
    TEST_CASE("five failures in a row open it, and one success in between does not") {
        Circuit circuit;
        for (int i = 0; i < 4; ++i) circuit.failed(0);
        circuit.worked();
        for (int i = 0; i < 4; ++i) circuit.failed(0);
        CHECK(circuit.may_try(0));
        circuit.failed(0);
        CHECK(circuit.open());
        CHECK_FALSE(circuit.may_try(4'999));
    }

    TEST_CASE("while it is open one letter at a time probes, after 5 s, 10 s ... 5 min") {
        Circuit circuit;
        for (int i = 0; i < 5; ++i) circuit.failed(0);
        zgoda::service::TimeMs now = 0;
        for (const int seconds : {5, 10, 20, 40, 80, 160, 300, 300, 300}) {
            CHECK_FALSE(circuit.may_try(now + seconds * 1000 - 1));
            now += seconds * 1000;
            CHECK(circuit.may_try(now));
            CHECK_FALSE(circuit.may_try(now));
            circuit.failed(now);
        }
        CHECK(circuit.may_try(now + 300'000));
        circuit.worked();
        CHECK_FALSE(circuit.open());
        CHECK(circuit.may_try(now));
        CHECK(circuit.may_try(now));
    }

    TEST_CASE("letters that were under way when it opened do not open it further") {
        Circuit circuit;
        for (int i = 0; i < 30; ++i) circuit.failed(0);
        CHECK(circuit.until_probe(0) == 5'000);
    }

    TEST_CASE("wrong settings open it at once, for a quarter of an hour") {
        Circuit circuit;
        circuit.needs_human(0);
        CHECK_FALSE(circuit.may_try(899'999));
        CHECK(circuit.may_try(900'000));
    }

    TEST_CASE("a clock that is set back does not keep it open") {
        Circuit circuit;
        circuit.needs_human(7'200'000);
        CHECK_FALSE(circuit.may_try(7'200'000));
        CHECK(circuit.until_probe(0) == 0);
        CHECK(circuit.may_try(0));
    }

    TEST_CASE("a probe that was not sent can be had by another letter") {
        Circuit circuit;
        circuit.needs_human(0);
        CHECK(circuit.may_try(900'000));
        circuit.not_tried();
        CHECK(circuit.may_try(900'000));
    }
}
