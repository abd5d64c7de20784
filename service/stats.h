// The funnel: what became of the signups of the last days.
//
// Told from the ledger alone, which outlives letters and people. A signup is a person who asked for a
// newsletter, counted once in the period, with the page, form and language of her first request in it; what
// honeypots caught and what was subscribed already is none. Each later column counts those signups of which
// it became true, so that no column is larger than the first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "service/store.h"

namespace zgoda::service {

struct Funnel {
    std::int64_t signups = 0;
    std::int64_t letters = 0;    // accepted by the relay
    std::int64_t confirmed = 0;  // by a click, a code, or an administrator
    std::int64_t bounced = 0;    // a letter refused for good, at once or later
    std::int64_t left = 0;       // after confirming
};

// What an event of the ledger adds to counters of the funnel; nullopt: nothing. For whoever counts as it
// happens, every event once, over all newsletters.
struct FunnelStep {
    enum class Kind { signup, letter_accepted, letter_refused, confirmed, bounced, left } kind = Kind::signup;
    LetterKind letter = LetterKind::confirmation;  // of letter_accepted and letter_refused
};
std::optional<FunnelStep> funnel_step(const Event&);

struct StatsQuery {
    std::optional<Id> newsletter;
    TimeMs since = 0;
    enum class By { newsletter, form, source, locale, day } by = By::newsletter;
    // Pages of these origins ("https://news.example") are told one by one; the rest is "other".
    std::vector<std::string> origins;
};

struct Stats {
    Funnel all;
    std::map<std::string, Funnel> rows;  // by what was asked for; "" where nothing is known
};

// Reads page by page, each in a short read of its own. Memory: some 100 bytes a signup in the period.
Stats funnel(Store&, const StatsQuery&);

}  // namespace zgoda::service
