#pragma once

// When a letter is tried again. Pure arithmetic; the end of a letter's life is not decided here.

#include <cstdint>

namespace zgoda::mailer {

// How long after its `attempt`-th attempt (1 is the first) a letter waits, in milliseconds: 30 s, 2 min, 10
// min, 30 min, 1 h, 2 h, then 4 h each time. The 10 minutes outlast the usual greylisting. Any 64 random bits
// spread it evenly by up to a fifth either way, so that letters that failed together do not come back
// together.
std::int64_t next_attempt_ms(int attempt, std::uint64_t random);

// How long a letter waits that may have arrived: 10 min, spread alike. How often that is done is a rule of
// service/.
std::int64_t uncertain_wait_ms(std::uint64_t random);

}  // namespace zgoda::mailer
