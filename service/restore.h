// After a backup was put back: who left since then has left again.
//
// The withdrawals journal has one line a withdrawal, "TIME KEY-ID HASH": HMAC under the journal's key of that
// id over the addr_key, a line end and what was withdrawn: "newsletter ID", "undo newsletter ID" (she took it
// back within minutes), "all" (she was erased) or "never again" (erased, and no letter any more). Nobody can
// read from it who left; with the key and a person at hand it can be asked whether she did.
//
// Of one newsletter the last line counts, and only if it is younger than what the backup knows of her.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

class Departures {
 public:
    // The next line of the journal. False: it is none, or of a key that is not there.
    bool add(std::string_view line, const Keyring&);

    std::int64_t lines() const { return lines_; }

    // What the journal says last about this person and what she withdrew; nullopt: nothing.
    struct Line {
        TimeMs at = 0;
        std::int64_t number = 0;
    };
    std::optional<Line> find(std::string_view addr_key, std::string_view what, const Keyring&) const;

 private:
    struct Hash {
        std::size_t operator()(const Digest&) const;
    };
    std::unordered_map<Digest, Line, Hash> last_;
    std::int64_t lines_ = 0;
};

struct Replayed {
    std::int64_t left = 0;      // subscriptions that ended again
    std::int64_t returned = 0;  // that she had taken back
    std::int64_t erased = 0;    // people
};

// Small units of work, `between` is called after each, with the number of people looked at. With `dry_run`
// only counts.
Replayed replay(Store&, const Departures&, const Rules&, bool dry_run,
                const std::function<void(std::int64_t)>& between = {});

}  // namespace zgoda::service
