#include "service/evidence.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/ledger.h"
#include "service/pending.h"

namespace zgoda::service {
namespace {

bool asks_for(const Request& request, Id newsletter) {
    return std::any_of(request.wishes.begin(), request.wishes.end(),
                       [newsletter](const Wish& wish) { return wish.newsletter == newsletter; });
}

}  // namespace

EvidencedOutcome confirm_by_evidence(Transaction& tx, const Person& known, std::optional<Id> newsletter,
                                     const std::string& evidence, const Rules& rules, const Moment& moment) {
    const TimeMs now = moment.now;
    EvidencedOutcome outcome;
    if (suppressed(tx, known.addr_key, rules.keys, now)) {
        outcome.kind = Evidenced::suppressed;
        return outcome;
    }
    Person person = known;
    const std::vector<Subscription> before = tx.subscriptions_of(person.id);
    std::vector<Request> requests = tx.requests_of(person.id);
    std::erase_if(requests, [&](const Request& one) { return !pending(one, before); });
    const auto newsletters = tx.newsletters();
    std::string list;
    for (Subscription one : before) {
        if (newsletter && one.newsletter != *newsletter) continue;
        const Request* asked = nullptr;  // the latest of several
        for (const Request& request : requests) {
            if (asks_for(request, one.newsletter) && pending(request, Wish{one.newsletter, ""}, before))
                asked = &request;
        }
        const bool waits = one.status == SubscriptionStatus::pending ||
                           one.status == SubscriptionStatus::undeliverable || asked != nullptr;
        if (!waits) continue;
        one.status = SubscriptionStatus::confirmed;
        one.confirmed_at = now;
        one.unsubscribed_at.reset();
        if (asked != nullptr) {
            one.signed_up_at = asked->asked_at;
            one.source = asked->source;
            one.form = asked->form;
        }
        tx.update(one);
        outcome.newsletters.push_back(one.newsletter);
        list += (list.empty() ? "" : ",") + newsletter_json(*newsletters, one.newsletter);
    }
    if (outcome.newsletters.empty()) return outcome;

    std::string confirmed;
    for (Request& request : requests) {
        const bool answered = std::any_of(outcome.newsletters.begin(), outcome.newsletters.end(),
                                          [&](Id id) { return asks_for(request, id); });
        if (!answered) continue;
        confirmed += fmt::format("{}{}", confirmed.empty() ? "" : ",", request.id);
        if (pending(request, tx.subscriptions_of(person.id))) continue;  // asks for another one, too
        request.state = RequestState::confirmed;
        tx.update(request);
    }
    if (!person.proven_at) person.proven_at = now;
    tx.update(person);
    cancel_idle_letters(tx, person.id);

    Nonces nonces(moment.seed);
    record(tx, rules.keys,
           {EventKind::confirmed, person.id,
            fmt::format(R"({{"newsletters":[{}],"requests":[{}],"method":"admin"}})", list, confirmed),
            fmt::format(R"({{"address":{},"name":{},"evidence":{}}})", json_string(person.address),
                        json_string(person.name), json_string(evidence)),
            ""},
           now, nonces);
    outcome.kind = Evidenced::confirmed;
    return outcome;
}

}  // namespace zgoda::service
