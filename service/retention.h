// What is forgotten by itself, and when: [retention] of the settings. The ledger stays valid.
#pragma once

#include <cstdint>
#include <functional>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

struct Retention {
    DurationMs unconfirmed = 0;  // who never confirmed anything, after her last letter or lapse
    DurationMs ip_evidence = 0;  // addresses and user agents of those who asked and answered
    DurationMs outbox = 0;       // letters that are through
};

struct Purged {
    std::int64_t people = 0;    // erased, as never confirmed
    std::int64_t events = 0;    // whose network evidence was removed
    std::int64_t requests = 0;  // of whose client only the network was kept
    std::int64_t letters = 0;
    std::int64_t budgets = 0;  // of addresses that nobody here has, and that nothing counts any more
    std::int64_t codes = 0;    // counts of wrong codes
};

// Forgets what is due at `now`, in small units of work: killed half-way, the next run goes on where this one
// stopped. `between` is called after each unit and each page of looking. What an unconfirmed person's address
// was sent still counts in its mail budget. With `dry_run` only counts.
Purged purge(Store&, const Retention&, const Rules&, TimeMs now, bool dry_run,
             const std::function<void()>& between = {});

}  // namespace zgoda::service
