// After a backup was put back: what the withdrawals journal (service/journal.h) knows and the backup does
// not. Who left has left again, who was erased is erased, suppressions are set and lifted, tokens revoked.
//
// Of a newsletter a line counts only if it is younger than what the backup knows of her.
#pragma once

#include <cstdint>
#include <functional>

#include "service/journal.h"
#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

struct Replayed {
    std::int64_t left = 0;      // subscriptions that ended again
    std::int64_t returned = 0;  // that she had taken back
    std::int64_t erased = 0;    // people
    std::int64_t suppressed = 0;
    std::int64_t lifted = 0;   // suppressions
    std::int64_t revoked = 0;  // tokens

    friend bool operator==(const Replayed&, const Replayed&) = default;
};

// Small units of work, `between` is called after each, with the number of people looked at. A second time
// changes nothing.
Replayed replay(Store&, const Departures&, const Rules&,
                const std::function<void(std::int64_t)>& between = {});

}  // namespace zgoda::service
