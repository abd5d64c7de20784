#include "service/suppression.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/journal.h"
#include "service/ledger.h"
#include "service/pending.h"

namespace zgoda::service {
namespace {

void tell_ledger(Transaction& tx, EventKind kind, const EmailAddress& address, std::string details,
                 const Rules& rules, const Moment& moment) {
    Nonces nonces(moment.seed);
    const auto person = tx.person_by_key(address.addr_key);
    EventDraft event;
    event.kind = kind;
    event.person = person ? person->id : 0;
    event.details = std::move(details);
    // Nobody could erase what stands with nobody.
    if (person) event.identity = fmt::format(R"({{"address":{}}})", json_string(person->address));
    record(tx, rules.keys, std::move(event), moment.now, nonces);
}

}  // namespace

bool suppress(Transaction& tx, const EmailAddress& address, const std::string& why, const Rules& rules,
              const Moment& moment) {
    for (const Suppression& key : suppression_keys(rules.keys, address.addr_key)) {
        const auto known = tx.suppressions(key.key);
        if (std::any_of(known.begin(), known.end(),
                        [](const Suppression& one) { return one.reason == SuppressionReason::admin; })) {
            return false;
        }
    }
    Suppression one = suppression_keys(rules.keys, address.addr_key).front();
    one.reason = SuppressionReason::admin;
    one.at = moment.now;
    keep_suppression(tx, one);
    tell_ledger(tx, EventKind::suppressed, address,
                fmt::format(R"({{"reason":"admin","why":{}}})", json_string(why)), rules, moment);
    return true;
}

std::vector<SuppressionReason> lift_suppressions(Transaction& tx, const EmailAddress& address,
                                                 const std::string& why, const Rules& rules,
                                                 const Moment& moment) {
    std::vector<SuppressionReason> lifted;
    std::string list;
    for (const Suppression& key : suppression_keys(rules.keys, address.addr_key)) {
        for (const Suppression& one : tx.suppressions(key.key)) {
            if (one.reason == SuppressionReason::erased) continue;
            lift_suppression(tx, one, moment.now);
            if (std::find(lifted.begin(), lifted.end(), one.reason) != lifted.end()) continue;
            lifted.push_back(one.reason);
            list += fmt::format("{}\"{}\"", list.empty() ? "" : ",", word(one.reason));
        }
    }
    if (lifted.empty()) return lifted;
    tell_ledger(tx, EventKind::unsuppressed, address,
                fmt::format(R"({{"by":"admin","lifted":[{}],"reason":{}}})", list, json_string(why)), rules,
                moment);
    return lifted;
}

}  // namespace zgoda::service
