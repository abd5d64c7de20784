// How fast couriers alone are, with letters that are ready: what `smtp-source` measures of itself. Not part
// of the usual run; script/bench does it:
//     ZGODA_PORT=2525 ZGODA_CONNECTIONS=8 ZGODA_LETTERS=20000 ZGODA_SIZE=6609
//     mailer_tests --no-skip -ts='courier speed'
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "mailer/courier.h"

using namespace zgoda::mailer;

namespace {

int setting(const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : std::atoi(text);
}

std::string letter_of(std::size_t size) {
    std::string text = "Subject: courier speed\r\n\r\n";
    while (text.size() + 72 < size) text += std::string(70, 'x') + "\r\n";
    return text;
}

}  // namespace

TEST_SUITE_BEGIN("courier speed" * doctest::skip());

TEST_CASE("letters a second") {
    const int connections = setting("ZGODA_CONNECTIONS"), letters = setting("ZGODA_LETTERS");
    REQUIRE(connections > 0);
    SmtpOptions options;
    options.host = "127.0.0.1";
    options.port = static_cast<std::uint16_t>(setting("ZGODA_PORT"));
    options.tls = SmtpOptions::Tls::none;
    const Parcel parcel{{"news@example.org", "ada@example.org", false},
                        letter_of(static_cast<std::size_t>(setting("ZGODA_SIZE")))};
    std::atomic<int> left = letters, delivered = 0;
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < connections; ++i) {
        threads.emplace_back([&] {
            const auto courier = make_smtp_courier(options);
            while (left-- > 0) {
                const Outcome outcome = courier->deliver(parcel, left > 0 ? &parcel : nullptr);
                if (outcome.kind == Outcome::Kind::delivered) ++delivered;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(delivered == letters);
    std::printf("letters a second: %.0f\n", letters / took.count());
}

TEST_SUITE_END();
