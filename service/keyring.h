// The secrets of an installation, as values, and what is derived from them.
//
// A master key never signs anything itself: each use has its own key, HKDF-SHA256 (RFC 5869) of the master
// with the name of the use. The newest key signs; every key verifies, so old links keep working after a
// rotation. The oldest key is also the pepper of keyed hashes (suppressions, budget, withdrawals journal),
// which must not change while there are data.
//
// Immutable after construction and safe to share between threads. Nothing here prints or logs a key.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "service/records.h"
#include "service/time.h"

namespace zgoda::service {

struct MasterKey {
    int id = 0;  // 1 to 255
    std::array<std::uint8_t, 32> secret{};
    TimeMs created_at = 0;
};

enum class KeyUse {
    token_confirm,
    token_unsubscribe,
    token_preferences,
    token_undo,
    token_page,
    ticket,
    ledger_head,
    suppression,
    budget,
    journal,
    code,
    verp,
};

class Keyring {
 public:
    // At least one key, ids distinct; throws std::invalid_argument otherwise.
    explicit Keyring(std::vector<MasterKey>);

    int newest() const { return newest_; }
    int oldest() const { return oldest_; }
    std::vector<int> ids() const;

    // nullptr if there is no key of this id.
    const Digest* key(int id, KeyUse) const;

 private:
    std::map<std::pair<int, KeyUse>, Digest> derived_;
    int newest_ = 0;
    int oldest_ = 0;
};

// --- Digests: OpenSSL's; they throw std::runtime_error only when OpenSSL itself is broken ---

Digest sha256(std::string_view);
Digest hmac(std::span<const std::uint8_t> key, std::string_view message);  // HMAC-SHA256, RFC 2104
bool equal_in_constant_time(std::span<const std::uint8_t>, std::span<const std::uint8_t>);

std::string to_hex(std::span<const std::uint8_t>);
std::string to_base64url(std::span<const std::uint8_t>);  // without padding
std::optional<std::vector<std::uint8_t>> from_base64url(std::string_view, std::size_t max_bytes);  // strict
std::optional<std::vector<std::uint8_t>> from_hex(std::string_view);

// --- Randomness, drawn before a unit of work is submitted ---

using Seed = std::array<std::uint8_t, 32>;
Seed random_seed();  // from OpenSSL's generator; any thread

// When a unit of work happens, and the random bytes it may use.
struct Moment {
    TimeMs now = 0;
    Seed seed{};
};

// Random bytes that are the same each time a unit of work runs: hashes of the seed, which nobody else knows,
// and a counter.
class Nonces {
 public:
    explicit Nonces(const Seed& seed) : seed_(seed) {}
    Nonce next();

 private:
    Seed seed_;
    Digest block_{};
    std::uint32_t drawn_ = 0;
};

// --- Keyed hashes ---

// Every keyed hash under which this address may have been suppressed: one for each key, the oldest first.
std::vector<Suppression> suppression_keys(const Keyring&, std::string_view addr_key);
// Of a client network, for the budget: tells same from other, and nothing else.
std::uint64_t network_hash(const Keyring&, std::string_view network);

}  // namespace zgoda::service
