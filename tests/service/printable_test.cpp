#include "service/printable.h"

#include <doctest/doctest.h>

using namespace zgoda::service;

TEST_SUITE("printable") {
    TEST_CASE("text of strangers cannot move a terminal's cursor or turn its direction") {
        CHECK(printable("plain Київ") == "plain Київ");
        CHECK(printable("a\x1b[31mb") == "a\\u{1B}[31mb");
        CHECK(printable("a\nb") == "a\\u{A}b");
        CHECK(printable("a\xE2\x80\xAE"
                        "b") == "a\\u{202E}b");
        CHECK(printable("bad \xFF end") == "bad \\x{FF} end");
    }
}
