#include "mailer/schedule.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace zgoda::mailer {
namespace {

constexpr std::int64_t minute = 60'000;

// In [4/5, 6/5] of `ms`.
std::int64_t spread(std::int64_t ms, std::uint64_t random) {
    const auto width = static_cast<std::uint64_t>(ms * 2 / 5 + 1);
    return ms - ms / 5 + static_cast<std::int64_t>(random % width);
}

}  // namespace

std::int64_t next_attempt_ms(int attempt, std::uint64_t random) {
    assert(attempt >= 1);
    constexpr std::array waits{minute / 2,  2 * minute,   10 * minute, 30 * minute,
                               60 * minute, 120 * minute, 240 * minute};
    return spread(waits[std::min(static_cast<std::size_t>(attempt), waits.size()) - 1], random);
}

std::int64_t uncertain_wait_ms(std::uint64_t random) {
    return spread(10 * minute, random);
}

}  // namespace zgoda::mailer
