// The mail budget of one human: how many letters may go to her because of requests that prove nothing.
//
// Counted by abuse_key over all newsletters and nodes. All rates hold; the last letter of each window that
// allows more than one is kept for a client network that caused none of the others in it, so that nobody can
// use it up for her.
#pragma once

#include <span>
#include <vector>

#include "service/records.h"

namespace zgoda::service {

// The earliest time, not before `now`, at which a letter caused by `network` is within the budget.
TimeMs next_allowed(std::span<const BudgetEntry> history, std::span<const Rate>, std::uint64_t network,
                    TimeMs now);

// The history with one more letter, without what no rate looks at any longer.
std::vector<BudgetEntry> spend(std::span<const BudgetEntry> history, std::span<const Rate>,
                               std::uint64_t network, TimeMs now);

}  // namespace zgoda::service
