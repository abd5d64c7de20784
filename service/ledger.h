// The consent ledger: append-only, hash-chained, provable years later.
//
// Each event's hash is SHA-256 over its number, time, kind, person, details, two commitments and the hash
// before it, every part with its length. What is personal stands beside the chain: `identity` (address, name,
// what was typed, the page) and `evidence` (IP address, user agent). An event commits to each by an HMAC
// under a random nonce that is stored beside the data and deleted with them, so erasing a person or
// truncating an old IP address keeps the chain valid, and the commitment that stays behind tells nothing. The
// head is sealed under a key that is not in the database: only who holds it can rewrite history. A rollback
// shows against a head that was kept elsewhere.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "service/keyring.h"
#include "service/store.h"

namespace zgoda::service {

struct EventDraft {
    EventKind kind = EventKind::signup_requested;
    Id person = 0;
    std::string details;   // JSON object; nothing personal, nothing that a stranger typed
    std::string identity;  // JSON object, or ""
    std::string evidence;  // JSON object, or ""
};

// Appends to the chain, in this unit of work. Returns the event's number.
std::int64_t record(Transaction&, const Keyring&, EventDraft, TimeMs now, Nonces&);

// Was this head written by who holds one of these keys? An empty ledger has none that could say no.
bool sealed_by(const LedgerHead&, const Keyring&);

// What `consent verify` found. `problem` is one sentence that names the event; nullopt: the chain is whole.
struct Verdict {
    std::optional<std::string> problem;
    std::int64_t events = 0;
    std::int64_t erased = 0;     // events whose identity was erased
    std::int64_t truncated = 0;  // events whose evidence was removed
    std::string head;            // "SEQ:HASH", to be kept elsewhere
};

// Checks the whole chain: every hash, every commitment that still has its nonce, that identities are missing
// only of erased people, the head's seal, and, given an earlier head ("SEQ:HASH"), that the chain still
// contains it. `progress` is called now and then with the number of events checked.
Verdict verify_ledger(Store&, const Keyring&, std::optional<std::string> expected_head,
                      const std::function<void(std::int64_t)>& progress = {});

}  // namespace zgoda::service
