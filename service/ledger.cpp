#include "service/ledger.h"

#include <fmt/format.h>

#include <charconv>
#include <unordered_map>

namespace zgoda::service {
namespace {

std::string_view as_text(std::span<const std::uint8_t> data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

void append_number(std::string& out, std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xFF));
}

void append_part(std::string& out, std::string_view part) {
    append_number(out, part.size());
    out.append(part);
}

Digest hash_of(const Event& event) {
    std::string all = "zgoda ledger 1";
    all.reserve(256 + event.details.size());
    append_number(all, static_cast<std::uint64_t>(event.seq));
    append_number(all, static_cast<std::uint64_t>(event.at));
    append_part(all, word(event.kind));
    append_number(all, static_cast<std::uint64_t>(event.person));
    append_part(all, event.details);
    append_part(all, as_text(event.identity_commitment));
    append_part(all, as_text(event.evidence_commitment));
    append_part(all, as_text(event.previous));
    return sha256(all);
}

// Bound to the event's number and to what the data are, so that neither can stand in for another's.
Digest commitment(const Nonce& nonce, std::int64_t seq, std::string_view what, std::string_view data) {
    std::string all;
    all.reserve(what.size() + 8 + data.size());
    all += what;
    append_number(all, static_cast<std::uint64_t>(seq));
    all.append(data);
    return hmac(nonce, all);
}

Digest seal_of(const LedgerHead& head, const Digest& key) {
    std::string all = "zgoda ledger head 1";
    append_number(all, static_cast<std::uint64_t>(head.seq));
    all.append(as_text(head.hash));
    return hmac(key, all);
}

std::string spell(std::int64_t seq, const Digest& hash) {
    return fmt::format("{}:{}", seq, to_hex(hash));
}

}  // namespace

std::int64_t record(Transaction& tx, const Keyring& keys, EventDraft draft, TimeMs now, Nonces& nonces) {
    const LedgerHead before = tx.ledger_head();
    Event event;
    event.seq = before.seq + 1;
    event.at = now;
    event.kind = draft.kind;
    event.person = draft.person;
    event.details = std::move(draft.details);
    event.identity = std::move(draft.identity);
    event.evidence = std::move(draft.evidence);
    event.identity_nonce = nonces.next();
    event.evidence_nonce = nonces.next();
    event.identity_commitment = commitment(*event.identity_nonce, event.seq, "identity", event.identity);
    event.evidence_commitment = commitment(*event.evidence_nonce, event.seq, "evidence", event.evidence);
    event.previous = before.hash;
    event.hash = hash_of(event);

    tx.append(event, [&keys](std::int64_t seq, const Digest& hash) {
        LedgerHead head{seq, hash, keys.newest(), {}};
        head.seal = seal_of(head, *keys.key(head.key_id, KeyUse::ledger_head));
        return head;
    });
    return event.seq;
}

bool sealed_by(const LedgerHead& head, const Keyring& keys) {
    if (head.seq == 0) return true;
    const Digest* key = keys.key(head.key_id, KeyUse::ledger_head);
    return key != nullptr && equal_in_constant_time(seal_of(head, *key), head.seal);
}

Verdict verify_ledger(Store& store, const Keyring& keys, std::optional<std::string> expected_head,
                      const std::function<void(std::int64_t)>& progress) {
    constexpr std::size_t page = 5000;
    Verdict verdict;

    std::int64_t expected_seq = 0;
    std::string expected_hash;
    if (expected_head) {
        const std::size_t colon = expected_head->find(':');
        const char* end = expected_head->data() + std::min(colon, expected_head->size());
        const auto [stop, error] = std::from_chars(expected_head->data(), end, expected_seq);
        if (colon == std::string::npos || error != std::errc{} || stop != end || expected_seq < 0 ||
            expected_head->size() - colon - 1 != 64) {
            verdict.problem = "the expected head is not SEQ:HASH, as an earlier `consent verify` printed it";
            return verdict;
        }
        expected_hash = expected_head->substr(colon + 1);
    }

    // The head is read first and the chain followed up to it; what is appended meanwhile is for the next
    // time.
    LedgerHead head;
    look(store, [&head](Reader& reader) { head = reader.ledger_head(); });

    const auto fail = [&verdict](std::string problem) {
        if (!verdict.problem) verdict.problem = std::move(problem);
    };
    Digest previous{};
    std::int64_t seq = 0;
    bool seen_expected = !expected_head || expected_seq == 0;
    std::unordered_map<Id, std::int64_t>
        identity_gone;  // person -> last event without identity, not yet excused

    while (seq < head.seq && !verdict.problem) {
        std::vector<Event> events;
        look(store, [&events, seq](Reader& reader) { events = reader.events(seq, page); });
        if (events.empty()) {
            fail(fmt::format("event {} is missing: the chain ends at {}, its head says {}", seq + 1, seq,
                             head.seq));
            break;
        }
        for (const Event& event : events) {
            if (event.seq > head.seq) break;
            if (event.seq != seq + 1) {
                fail(fmt::format("event {} is missing", seq + 1));
                break;
            }
            if (event.previous != previous) {
                fail(fmt::format("event {} does not follow event {}: one of them was changed or swapped",
                                 event.seq, seq));
                break;
            }
            if (hash_of(event) != event.hash) {
                fail(fmt::format("event {} was changed", event.seq));
                break;
            }
            if (event.identity_nonce) {
                if (commitment(*event.identity_nonce, event.seq, "identity", event.identity) !=
                    event.identity_commitment) {
                    fail(fmt::format("the identity of event {} was changed", event.seq));
                    break;
                }
            } else if (!event.identity.empty()) {
                fail(fmt::format("event {} has an identity that nothing vouches for", event.seq));
                break;
            } else {
                ++verdict.erased;
                if (event.person != 0) identity_gone[event.person] = event.seq;
            }
            if (event.evidence_nonce) {
                if (commitment(*event.evidence_nonce, event.seq, "evidence", event.evidence) !=
                    event.evidence_commitment) {
                    fail(fmt::format("the evidence of event {} was changed", event.seq));
                    break;
                }
            } else {
                ++verdict.truncated;
            }
            // An import that was taken back removed the people that it had brought.
            if (event.kind == EventKind::erased ||
                (event.kind == EventKind::import_undone &&
                 event.details.find(R"("removed":true)") != std::string::npos)) {
                identity_gone.erase(event.person);
            }
            seq = event.seq;
            previous = event.hash;
            ++verdict.events;
            if (seq == expected_seq && expected_head) {
                seen_expected = to_hex(event.hash) == expected_hash;
                if (!seen_expected)
                    fail(fmt::format("event {} is not the one that the expected head names", seq));
            }
        }
        if (progress) progress(verdict.events);
    }
    if (verdict.problem) return verdict;

    if (head.seq != 0 && head.hash != previous) fail("the head does not name the last event");
    const Digest* key = keys.key(head.key_id, KeyUse::ledger_head);
    if (head.seq != 0 && key == nullptr) {
        fail(fmt::format("the head is sealed with key {}, which is not in the key file", head.key_id));
    } else if (head.seq != 0 && !equal_in_constant_time(seal_of(head, *key), head.seal)) {
        fail("the head's seal is wrong: it was not written by this installation");
    }
    if (!seen_expected) {
        fail(fmt::format("the chain ends at event {}, before the expected head {}: its tail was cut off",
                         head.seq, expected_seq));
    }
    for (const auto& [person, event] : identity_gone) {
        fail(fmt::format("the identity of event {} is gone, but person {} was never erased", event, person));
        break;
    }
    std::int64_t beyond = 0;
    look(store, [&](Reader& reader) {
        // With nothing appended since, an event behind the head was not written by this program.
        if (reader.ledger_head().seq == head.seq) {
            const auto rest = reader.events(head.seq, 1);
            if (!rest.empty()) beyond = rest.front().seq;
        }
    });
    if (beyond != 0) fail(fmt::format("event {} lies behind the head", beyond));
    verdict.head = spell(head.seq, head.hash);
    return verdict;
}

}  // namespace zgoda::service
