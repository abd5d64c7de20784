// Confirming what a reader proved in another way than by our letter: on paper, by telephone, in person.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "service/rules.h"
#include "service/store.h"

namespace zgoda::service {

enum class Evidenced { confirmed, nothing_pending, suppressed };

struct EvidencedOutcome {
    Evidenced kind = Evidenced::nothing_pending;
    std::vector<Id> newsletters;  // confirmed now
};

// Confirms what waits for her answer (of one newsletter, or all): pending and undeliverable subscriptions,
// and what she asked for again after she had left. Nothing else: who left and did not ask stays away, and a
// suppressed address has to be unsuppressed first. `evidence` says what the proof is; it is kept beside the
// ledger's event and goes when she is erased.
EvidencedOutcome confirm_by_evidence(Transaction&, const Person&, std::optional<Id> newsletter,
                                     const std::string& evidence, const Rules&, const Moment&);

}  // namespace zgoda::service
