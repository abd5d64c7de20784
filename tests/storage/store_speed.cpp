// How fast the store is. Not part of the usual run:
//     storage_tests --no-skip -ts='store speed'          ZGODA_PEOPLE=1000000 for a large database
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/storage/stores.h"

using namespace zgoda;
using namespace zgoda::service;
using namespace zgoda::tests;

namespace {

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Prefixes are random, or the index of addresses would only grow at its end.
std::string random_address(std::uint64_t n) {
    std::mt19937_64 random(n);
    char text[64];
    std::snprintf(text, sizeof text, "%016llx@example.org", static_cast<unsigned long long>(random()));
    return text;
}

// Signs up `count` people from `first` on, with so many units outstanding at any time.
void sign_up_many(Store& store, Id newsletter, std::uint64_t first, std::uint64_t count, int outstanding) {
    std::atomic<std::uint64_t> next = first;
    std::atomic<int> running = outstanding;
    std::atomic<std::uint64_t> failed = 0;
    std::function<void()> one = [&] {
        const std::uint64_t n = next++;
        if (n >= first + count) {
            --running;
            running.notify_one();
            return;
        }
        store.submit([n, newsletter](Transaction& t) { sign_up(t, random_address(n), newsletter); },
                     [&](CommitResult result) {
                         if (result.commit != Commit::done) ++failed;
                         one();
                     });
    };
    for (int i = 0; i < outstanding; ++i) one();
    for (int left = running; left != 0; left = running) running.wait(left);
    CHECK(failed == 0);
}

}  // namespace

TEST_SUITE_BEGIN("store speed" * doctest::skip());

TEST_CASE("signups and export") {
    const char* wanted = std::getenv("ZGODA_PEOPLE");
    const std::uint64_t people = wanted ? std::strtoull(wanted, nullptr, 10) : 0;
    const TempFolder folder;
    const auto store = must_open(options_in(folder));
    const Id newsletter = make_newsletter(*store, "morning");
    if (people != 0) {
        const auto start = std::chrono::steady_clock::now();
        sign_up_many(*store, newsletter, 0, people, 512);
        std::printf("filled with %llu people in %.1f s\n", static_cast<unsigned long long>(people),
                    seconds_since(start));
    }
    for (int run = 0; run < 3; ++run) {
        const std::uint64_t count = 50'000;
        const auto before = store->stats();
        const auto start = std::chrono::steady_clock::now();
        const double cpu = cpu_seconds();
        sign_up_many(*store, newsletter, people + static_cast<std::uint64_t>(run) * count, count, 64);
        const double took = seconds_since(start);
        const auto after = store->stats();
        std::printf(
            "%.0f signups/s, %.1f us CPU each, %.1f a group, %.1f us in COMMIT each, %llu checkpoints\n",
            static_cast<double>(count) / took, (cpu_seconds() - cpu) / static_cast<double>(count) * 1e6,
            static_cast<double>(after.units - before.units) /
                static_cast<double>(after.groups - before.groups),
            static_cast<double>(after.commit_microseconds - before.commit_microseconds) /
                static_cast<double>(count),
            static_cast<unsigned long long>(after.checkpoints - before.checkpoints));
    }
    const auto start = std::chrono::steady_clock::now();
    std::size_t rows = 0;
    std::size_t bytes = 0;
    for (Id last = 0;;) {
        std::size_t page = 0;
        look(*store, [&](Reader& r) {
            page = r.export_rows({}, last, 10'000, [&](const ExportRow& row) {
                last = row.subscription;
                bytes += row.email.size() + row.source.size();
            });
        });
        if (page == 0) break;
        rows += page;
    }
    std::printf("%.0f export rows/s of %zu (%zu bytes)\n", static_cast<double>(rows) / seconds_since(start),
                rows, bytes);
    std::printf("%s: %llu bytes a person\n", folder.path().c_str(),
                static_cast<unsigned long long>(std::filesystem::file_size(folder / "zgoda.db") / rows));
    if (std::getenv("ZGODA_CSV")) {
        const auto shell = std::chrono::steady_clock::now();
        const std::string command = "sqlite3 -csv " + (folder / "zgoda.db").string() +
                                    " 'SELECT ifnull(p.address, p.addr_key), p.name, n.slug, s.status, "
                                    "p.locale, s.signed_up_at, s.confirmed_at, "
                                    "s.unsubscribed_at, s.source, s.form, s.fields FROM subscription s JOIN "
                                    "person p ON p.id = s.person JOIN "
                                    "newsletter n ON n.id = s.newsletter ORDER BY s.id' > /dev/null";
        CHECK(std::system(command.c_str()) == 0);
        std::printf("%.0f rows/s by sqlite3 -csv\n", static_cast<double>(rows) / seconds_since(shell));
    }
}

TEST_SUITE_END();
