#include "service/budget.h"

#include <algorithm>

namespace zgoda::service {
namespace {

bool allowed(std::span<const BudgetEntry> history, const Rate& rate, std::uint64_t network, TimeMs at) {
    int count = 0;
    bool caused_one = false;
    for (const BudgetEntry& entry : history) {
        if (entry.at + rate.window <= at) continue;
        ++count;
        caused_one |= entry.network == network;
    }
    if (count >= rate.count) return false;
    const bool is_last = rate.count > 1 && count == rate.count - 1;
    return !(is_last && caused_one);
}

}  // namespace

TimeMs next_allowed(std::span<const BudgetEntry> history, std::span<const Rate> rates, std::uint64_t network,
                    TimeMs now) {
    // It can only become allowed when an old letter leaves a window.
    std::vector<TimeMs> candidates{now};
    for (const BudgetEntry& entry : history) {
        for (const Rate& rate : rates) {
            if (entry.at + rate.window > now) candidates.push_back(entry.at + rate.window);
        }
    }
    std::sort(candidates.begin(), candidates.end());
    for (const TimeMs at : candidates) {
        const auto holds = [&](const Rate& rate) { return allowed(history, rate, network, at); };
        if (std::all_of(rates.begin(), rates.end(), holds)) return at;
    }
    return candidates.back();  // after the last one the history is empty, so this is not reached
}

std::vector<BudgetEntry> spend(std::span<const BudgetEntry> history, std::span<const Rate> rates,
                               std::uint64_t network, TimeMs now) {
    DurationMs longest = 0;
    for (const Rate& rate : rates) longest = std::max(longest, rate.window);
    std::vector<BudgetEntry> kept;
    for (const BudgetEntry& entry : history) {
        if (entry.at + longest > now) kept.push_back(entry);
    }
    if (longest > 0) kept.push_back({now, network});
    return kept;
}

}  // namespace zgoda::service
