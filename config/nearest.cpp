#include "config/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace zgoda::config {
namespace {

// Levenshtein's distance, with two neighbours that changed places as one step.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last, last, row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before_last = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
    }
    return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
    const auto best = std::min_element(
        candidates.begin(), candidates.end(),
        [&](const std::string& a, const std::string& b) { return distance(name, a) < distance(name, b); });
    return best == candidates.end() || 2 * distance(name, *best) > best->size() ? "" : *best;
}

}  // namespace zgoda::config
