#include "service/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "service/ledger.h"
#include "service/pending.h"
#include "service/withdrawal.h"

namespace zgoda::service {
namespace {

struct Act {
    enum class Kind { leave, come_back, erase } kind = Kind::leave;
    Id newsletter = 0;
    TimeMs at = 0;
    bool never_again = false;
};

bool is_over(const Subscription& one) {
    return one.status == SubscriptionStatus::unsubscribed || one.status == SubscriptionStatus::complained;
}

// What the journal knows of her that the database does not.
std::vector<Act> missed(Reader& reader, const Person& person, const Departures& departures,
                        const Keyring& keys) {
    std::vector<Act> acts;
    const auto all = departures.find(person.addr_key, "all", keys);
    if (all && all->at > person.created_at) {
        const auto never = departures.find(person.addr_key, "never again", keys);
        acts.push_back({Act::Kind::erase, 0, all->at, never && never->at > person.created_at});
        return acts;
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
                acts.push_back({Act::Kind::come_back, one.newsletter, undone->at, false});
            }
        } else if (!is_over(one) && left->at >= std::max(one.signed_up_at, one.confirmed_at.value_or(0))) {
            acts.push_back({Act::Kind::leave, one.newsletter, left->at, false});
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

void do_again(Transaction& tx, const Person& person, const Act& act, const Rules& rules, const Moment& moment,
              Replayed& count) {
    Nonces nonces(moment.seed);
    switch (act.kind) {
        case Act::Kind::leave:
            count.left += unsubscribe(tx, person, act.newsletter, rules, moment);
            return;
        case Act::Kind::come_back:
            come_back(tx, person, act, rules, nonces);
            ++count.returned;
            return;
        case Act::Kind::erase:
            erase(tx, person, rules, moment, Way::admin, act.never_again);
            ++count.erased;
            return;
    }
}

}  // namespace

std::size_t Departures::Hash::operator()(const Digest& digest) const {
    std::size_t value = 0;  // as good as any other part of an HMAC
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
}

bool Departures::add(std::string_view line, const Keyring& keys) {
    ++lines_;
    const std::size_t first = std::min(line.find(' '), line.size());
    const std::size_t second = std::min(line.find(' ', first + 1), line.size());
    if (second == line.size()) return false;
    const auto at = parse_rfc3339(line.substr(0, first));
    int key = 0;
    const char* end = line.data() + second;
    const auto [stop, error] = std::from_chars(line.data() + first + 1, end, key);
    const auto hash = from_hex(line.substr(second + 1));
    if (!at || error != std::errc{} || stop != end || !hash || hash->size() != sizeof(Digest)) return false;
    if (keys.key(key, KeyUse::journal) == nullptr) return false;
    Digest digest{};
    std::copy(hash->begin(), hash->end(), digest.begin());
    last_[digest] = {*at, lines_};
    return true;
}

std::optional<Departures::Line> Departures::find(std::string_view addr_key, std::string_view what,
                                                 const Keyring& keys) const {
    std::optional<Line> last;
    for (const int id : keys.ids()) {
        const auto found =
            last_.find(hmac(*keys.key(id, KeyUse::journal), fmt::format("{}\n{}", addr_key, what)));
        if (found != last_.end() && (!last || found->second.number > last->number)) last = found->second;
    }
    return last;
}

Replayed replay(Store& store, const Departures& departures, const Rules& rules, bool dry_run,
                const std::function<void(std::int64_t)>& between) {
    constexpr std::size_t page = 1000;
    constexpr std::size_t unit = 50;
    Replayed done;
    Id after = 0;
    std::int64_t looked_at = 0;
    for (std::size_t seen = page; seen == page;) {
        std::vector<Id> due;
        Replayed would;
        look(store, [&](Reader& reader) {
            due.clear();
            would = {};
            const auto people = reader.people(after, page);
            for (const Person& person : people) {
                const auto acts = missed(reader, person, departures, rules.keys);
                if (!acts.empty()) due.push_back(person.id);
                for (const Act& act : acts) {
                    ++(act.kind == Act::Kind::leave       ? would.left
                       : act.kind == Act::Kind::come_back ? would.returned
                                                          : would.erased);
                }
            }
            seen = people.size();
            if (!people.empty()) after = people.back().id;
        });
        if (dry_run) {
            done.left += would.left;
            done.returned += would.returned;
            done.erased += would.erased;
            due.clear();
        }
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
            done.left += these.left;
            done.returned += these.returned;
            done.erased += these.erased;
            if (between) between(looked_at);
        }
        looked_at += static_cast<std::int64_t>(seen);
        if (between) between(looked_at);
    }
    return done;
}

}  // namespace zgoda::service
