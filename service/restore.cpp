#include "service/restore.h"

#include <fmt/format.h>

#include <algorithm>

#include "service/confirmation.h"
#include "service/ledger.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

struct Act {
    enum class Kind { leave, come_back, erase, suppress, lift } kind = Kind::leave;
    Id newsletter = 0;
    TimeMs at = 0;
    bool never_again = false;
    Suppression suppression;
};

bool is_over(const Subscription& one) {
    return one.status == SubscriptionStatus::unsubscribed || one.status == SubscriptionStatus::complained;
}

// Is what the journal says last of this suppression news to the database?
bool is_news(Reader& reader, const Departures::Suppressed& line) {
    const auto known = reader.suppressions(line.one.key);
    const auto same = std::find_if(known.begin(), known.end(),
                                   [&](const Suppression& other) { return other.reason == line.one.reason; });
    return line.lifted ? same != known.end() && same->at <= line.one.at : same == known.end();
}

// What the journal knows of her that the database does not.
std::vector<Act> missed(Reader& reader, const Person& person, const Departures& departures,
                        const Keyring& keys) {
    std::vector<Act> acts;
    const auto all = departures.find(person.addr_key, "all", keys);
    if (all && all->at > person.created_at) {
        const auto never = departures.find(person.addr_key, "never again", keys);
        acts.push_back({Act::Kind::erase, 0, all->at, never && never->at > person.created_at, {}});
        return acts;
    }
    // First: who complained has more to end than one subscription.
    for (const Suppression& hers : suppression_keys(keys, person.addr_key)) {
        for (const auto& line : departures.suppressed(hers.key)) {
            if (is_news(reader, line)) {
                const auto kind = line.lifted ? Act::Kind::lift : Act::Kind::suppress;
                acts.push_back({kind, 0, line.one.at, false, line.one});
            }
        }
    }
    for (const Subscription& one : reader.subscriptions_of(person.id)) {
        const auto left =
            departures.find(person.addr_key, fmt::format("newsletter {}", one.newsletter), keys);
        if (!left) continue;
        const auto undone =
            departures.find(person.addr_key, fmt::format("undo newsletter {}", one.newsletter), keys);
        if (undone && undone->number > left->number) {
            if (one.status == SubscriptionStatus::unsubscribed &&
                one.unsubscribed_at.value_or(0) <= undone->at &&
                one.unsubscribed_at.value_or(0) >= left->at) {
                acts.push_back({Act::Kind::come_back, one.newsletter, undone->at, false, {}});
            }
        } else if (!is_over(one) && left->at >= std::max(one.signed_up_at, one.confirmed_at.value_or(0))) {
            acts.push_back({Act::Kind::leave, one.newsletter, left->at, false, {}});
        }
    }
    return acts;
}

void come_back(Transaction& tx, const Person& person, const Act& act, const Rules& rules, Nonces& nonces) {
    const auto newsletters = tx.newsletters();
    for (Subscription& one : tx.subscriptions_of(person.id)) {
        if (one.newsletter != act.newsletter) continue;
        one.status = one.confirmed_at ? SubscriptionStatus::confirmed : SubscriptionStatus::pending;
        one.unsubscribed_at.reset();
        tx.update(one);
        record(tx, rules.keys,
               {EventKind::withdrawal_undone, person.id,
                fmt::format(R"({{"newsletters":[{}],"method":"journal"}})",
                            newsletter_json(*newsletters, one.newsletter)),
                fmt::format(R"({{"address":{}}})", json_string(person.address)), ""},
               act.at, nonces);
    }
}

// The row, and the ledger's word on it.
void set_or_lift(Transaction& tx, const Person* person, const Departures::Suppressed& line,
                 const Rules& rules, TimeMs at, Nonces& nonces) {
    EventDraft event;
    event.kind = line.lifted ? EventKind::unsuppressed : EventKind::suppressed;
    event.person = person == nullptr ? 0 : person->id;
    if (person != nullptr) event.identity = fmt::format(R"({{"address":{}}})", json_string(person->address));
    if (line.lifted) {
        lift_suppression(tx, line.one, at);
        event.details =
            fmt::format(R"({{"by":"journal","lifted":["{}"],"reason":"restore"}})", word(line.one.reason));
    } else {
        keep_suppression(tx, line.one);
        event.details = fmt::format(R"({{"reason":"{}","by":"journal"}})", word(line.one.reason));
    }
    // `erased` only refuses imports; that she was is told by the event of that name.
    if (line.one.reason != SuppressionReason::erased) record(tx, rules.keys, std::move(event), at, nonces);
}

// With all that she meant by it.
void suppress(Transaction& tx, const Person& person, const Suppression& one, const Rules& rules,
              const Moment& moment) {
    if (one.reason == SuppressionReason::complaint) return complain(tx, person, 0, rules, moment);
    if (one.reason == SuppressionReason::not_me) return decline(tx, person, 0, {}, rules, moment);
    Nonces nonces(moment.seed);
    set_or_lift(tx, &person, {one, false}, rules, moment.now, nonces);
}

void do_again(Transaction& tx, const Person& person, const Act& act, const Rules& rules, const Moment& moment,
              Replayed& count) {
    Nonces nonces(moment.seed);
    switch (act.kind) {
        case Act::Kind::leave:
            count.left += unsubscribe(tx, person, act.newsletter, rules, moment, Way::journal);
            return;
        case Act::Kind::come_back:
            come_back(tx, person, act, rules, nonces);
            ++count.returned;
            return;
        case Act::Kind::erase:
            erase(tx, person, rules, moment, Way::admin, act.never_again);
            ++count.erased;
            return;
        case Act::Kind::suppress:
            suppress(tx, person, act.suppression, rules, moment);
            ++count.suppressed;
            return;
        case Act::Kind::lift:
            set_or_lift(tx, &person, {act.suppression, true}, rules, act.at, nonces);
            ++count.lifted;
            return;
    }
}

// Suppressions of whom the backup does not know, and tokens.
Replayed replay_the_rest(Store& store, const Departures& departures, const Rules& rules) {
    constexpr std::size_t unit = 50;
    Replayed done;
    const auto lines = departures.suppressed();
    std::vector<Departures::Suppressed> due;
    std::vector<AdminToken> revoked;
    look(store, [&](Reader& reader) {
        due.clear();
        revoked.clear();
        for (const auto& line : lines)
            if (is_news(reader, line)) due.push_back(line);
        for (AdminToken token : reader.admin_tokens()) {
            const auto line = departures.find(to_hex(token.digest), "token revoked", rules.keys);
            if (token.revoked_at || !line) continue;
            token.revoked_at = line->at;
            revoked.push_back(token);
        }
    });
    for (const auto& line : due) ++(line.lifted ? done.lifted : done.suppressed);
    done.revoked = static_cast<std::int64_t>(revoked.size());
    for (std::size_t first = 0; first < due.size(); first += unit) {
        const Seed seed = random_seed();
        run(store, [&](Transaction& tx) {
            Nonces nonces(seed);
            for (std::size_t i = first; i < std::min(first + unit, due.size()); ++i)
                set_or_lift(tx, nullptr, due[i], rules, due[i].one.at, nonces);
        });
    }
    if (!revoked.empty())
        run(store, [&](Transaction& tx) {
            for (const AdminToken& token : revoked) tx.update(token);
        });
    return done;
}

Replayed& operator+=(Replayed& all, const Replayed& some) {
    all.left += some.left;
    all.returned += some.returned;
    all.erased += some.erased;
    all.suppressed += some.suppressed;
    all.lifted += some.lifted;
    all.revoked += some.revoked;
    return all;
}

}  // namespace

Replayed replay(Store& store, const Departures& departures, const Rules& rules,
                const std::function<void(std::int64_t)>& between) {
    constexpr std::size_t page = 1000;
    constexpr std::size_t unit = 50;
    Replayed done;
    Id after = 0;
    std::int64_t looked_at = 0;
    for (std::size_t seen = page; seen == page;) {
        std::vector<Id> due;
        look(store, [&](Reader& reader) {
            due.clear();
            const auto people = reader.people(after, page);
            for (const Person& person : people)
                if (!missed(reader, person, departures, rules.keys).empty()) due.push_back(person.id);
            seen = people.size();
            if (!people.empty()) after = people.back().id;
        });
        for (std::size_t first = 0; first < due.size(); first += unit) {
            const Seed seed = random_seed();
            Replayed these;
            run(store, [&](Transaction& tx) {
                these = {};
                Nonces seeds(seed);
                for (std::size_t i = first; i < std::min(first + unit, due.size()); ++i) {
                    const auto person = tx.person(due[i]);
                    if (!person) continue;
                    for (const Act& act : missed(tx, *person, departures, rules.keys)) {
                        Moment moment{act.at, {}};
                        const Nonce half = seeds.next(), other = seeds.next();
                        std::copy(half.begin(), half.end(), moment.seed.begin());
                        std::copy(other.begin(), other.end(), moment.seed.begin() + half.size());
                        // Read anew: what went before has raised her generation.
                        if (const auto now = tx.person(due[i])) do_again(tx, *now, act, rules, moment, these);
                    }
                }
            });
            done += these;
            if (between) between(looked_at);
        }
        looked_at += static_cast<std::int64_t>(seen);
        if (between) between(looked_at);
    }
    done += replay_the_rest(store, departures, rules);
    return done;
}

}  // namespace zgoda::service
