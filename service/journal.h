// The withdrawals journal: what no restored backup may undo, in a file outside the database.
//
// A line is "TIME KEY-ID HASH", and nobody can read from it whom it is about; with the keys and a person at
// hand it can be asked whether it is about her. HASH is one of
//
//     HMAC under the journal's key of addr_key, a line end and what she withdrew: "newsletter ID",
//     "undo newsletter ID" (she took it back within minutes), "all" (she was erased) or "never again"
//     (erased, and no letter any more); or of the hex digest of a token, a line end and "token revoked";
//
//     the key of a suppression, as it stands in the database. Then " suppressed REASON" or " lifted REASON"
//     follows: there may be nobody here to ask about. Those of hard_bounce are not kept: they end by
//     themselves.
//
// Of one newsletter, and of one suppression, the last line counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "service/keyring.h"
#include "service/store.h"

namespace zgoda::service {

// `whose`: an addr_key, or the digest of a token.
void journal(Transaction&, std::string_view whose, std::string_view what, const Keyring&, TimeMs at);

// The row and its line together.
void keep_suppression(Transaction&, const Suppression&);
void lift_suppression(Transaction&, const Suppression&, TimeMs now);

// What the lines say, all of them in memory: about 100 bytes each.
class Departures {
 public:
    // The next line of the journal. False: it is none, or of a key that is not there.
    bool add(std::string_view line, const Keyring&);

    std::int64_t lines() const { return lines_; }

    // What the journal says last about this person or token; nullopt: nothing.
    struct Line {
        TimeMs at = 0;
        std::int64_t number = 0;
    };
    std::optional<Line> find(std::string_view whose, std::string_view what, const Keyring&) const;

    // What it says last about each reason under this key.
    struct Suppressed {
        Suppression one;  // `at`: when it was made or lifted
        bool lifted = false;
    };
    std::vector<Suppressed> suppressed(const Digest& key) const;
    std::vector<Suppressed> suppressed() const;  // under all keys, in no order

 private:
    struct Hash {
        std::size_t operator()(const Digest&) const;
    };
    std::unordered_map<Digest, Line, Hash> last_;
    std::unordered_map<Digest, std::vector<Suppressed>, Hash> suppressed_;
    std::int64_t lines_ = 0;
};

}  // namespace zgoda::service
