#include "service/retention.h"

#include <algorithm>

#include "service/ledger.h"

namespace zgoda::service {
namespace {

constexpr std::size_t page = 2000;  // rows looked at in one read
constexpr std::size_t unit = 100;   // rows changed in one unit of work: a few milliseconds

bool is_open(const Letter& letter) {
    return letter.state == LetterState::queued || letter.state == LetterState::leased ||
           letter.state == LetterState::deferred || letter.state == LetterState::uncertain;
}

// Nothing of hers was ever proven or will be: no letter is under way, and the last thing that happened (a
// signup, a letter, a lapse) is longer ago than `cutoff`.
bool forgettable(Reader& reader, const Person& person, TimeMs cutoff) {
    if (person.proven_at || person.created_at >= cutoff) return false;
    for (const Subscription& one : reader.subscriptions_of(person.id)) {
        const bool unproven =
            one.status == SubscriptionStatus::pending || one.status == SubscriptionStatus::undeliverable;
        if (!unproven) return false;
    }
    for (const Letter& letter : reader.letters_of(person.id)) {
        if (is_open(letter) || letter.sent_at.value_or(0) >= cutoff) return false;
    }
    const auto events = reader.events_of(person.id);
    return std::all_of(events.begin(), events.end(), [&](const Event& one) { return one.at < cutoff; });
}

// Not a wish of hers: no suppression is left behind, but what her address was sent still counts.
void forget(Transaction& tx, const Person& person, const Rules& rules, TimeMs now, Nonces& nonces) {
    const auto budget = tx.budget(person.abuse_key);
    tx.erase_person(person.id);
    if (!budget.empty()) tx.set_budget(person.abuse_key, budget);
    record(tx, rules.keys, {EventKind::erased, person.id, R"({"method":"retention"})", "", ""}, now, nonces);
}

// Looks for rows page by page (`find` hands on the cursor it keeps) and changes them in small units.
template <class Row, class Find, class Change>
std::int64_t sweep(Store& store, bool dry_run, const std::function<void()>& between, Find find,
                   Change change) {
    std::int64_t count = 0;
    for (std::size_t seen = page; seen == page;) {
        std::vector<Row> rows;
        look(store, [&](Reader& reader) { rows = find(reader); });
        seen = rows.size();
        if (dry_run) {
            count += static_cast<std::int64_t>(seen);
            rows.clear();
        }
        for (std::size_t first = 0; first < rows.size(); first += unit) {
            const std::size_t end = std::min(first + unit, rows.size());
            const Seed seed = random_seed();
            std::int64_t changed = 0;
            run(store, [&](Transaction& tx) {
                Nonces nonces(seed);
                changed = 0;
                for (std::size_t i = first; i < end; ++i) changed += change(tx, rows[i], nonces) ? 1 : 0;
            });
            count += changed;
            if (between) between();
        }
        if (between) between();
    }
    return count;
}

}  // namespace

Purged purge(Store& store, const Retention& retention, const Rules& rules, TimeMs now, bool dry_run,
             const std::function<void()>& between) {
    Purged purged;

    const TimeMs unconfirmed_before = now - retention.unconfirmed;
    Id person_after = 0;
    std::int64_t would = 0;
    purged.people = sweep<Id>(
        store, dry_run, between,
        [&](Reader& reader) {
            auto found = reader.unproven_people(unconfirmed_before, person_after, page);
            if (!found.empty()) person_after = found.back();
            if (dry_run) {
                for (const Id id : found) {
                    const auto person = reader.person(id);
                    would += person && forgettable(reader, *person, unconfirmed_before) ? 1 : 0;
                }
            }
            return found;
        },
        [&](Transaction& tx, Id id, Nonces& nonces) {
            const auto person = tx.person(id);
            if (!person || !forgettable(tx, *person, unconfirmed_before)) return false;
            forget(tx, *person, rules, now, nonces);
            return true;
        });
    if (dry_run) purged.people = would;  // candidates are not yet forgotten

    const TimeMs evidence_before = now - retention.ip_evidence;
    std::int64_t event_after = 0;
    purged.events = sweep<std::int64_t>(
        store, dry_run, between,
        [&](Reader& reader) {
            auto found = reader.events_with_evidence(evidence_before, event_after, page);
            if (!found.empty()) event_after = found.back();
            return found;
        },
        [&](Transaction& tx, std::int64_t event, Nonces&) {
            tx.forget_evidence(event);
            return true;
        });

    Id owner_after = 0;
    Id request_after = 0;
    purged.requests = sweep<Request>(
        store, dry_run, between,
        [&](Reader& reader) {
            auto found = reader.requests_with_evidence(evidence_before, owner_after, request_after, page);
            if (!found.empty()) {
                owner_after = found.back().person;
                request_after = found.back().id;
            }
            return found;
        },
        [&](Transaction& tx, const Request& request, Nonces&) {
            if (!tx.person(request.person)) return false;  // erased meanwhile
            tx.forget_evidence(request);
            return true;
        });

    Id letter_after = 0;
    purged.letters = sweep<Id>(
        store, dry_run, between,
        [&](Reader& reader) {
            auto found = reader.finished_letters(now - retention.outbox, letter_after, page);
            if (!found.empty()) letter_after = found.back();
            return found;
        },
        [&](Transaction& tx, Id letter, Nonces&) {
            tx.remove_letter(letter);
            return true;
        });

    DurationMs longest = 0;
    for (const Rate& rate : rules.per_address) longest = std::max(longest, rate.window);
    const TimeMs counted_since = now - std::max(longest, 30 * day_ms);
    const auto old = [counted_since](Reader& reader, const std::string& key) {
        const auto entries = reader.budget(key);
        return std::all_of(entries.begin(), entries.end(),
                           [&](const BudgetEntry& one) { return one.at < counted_since; });
    };
    std::string key_after;
    would = 0;
    purged.budgets = sweep<std::string>(
        store, dry_run, between,
        [&](Reader& reader) {
            auto found = reader.budget_keys(key_after, page);
            if (!found.empty()) key_after = found.back();
            if (dry_run)
                would +=
                    std::count_if(found.begin(), found.end(), [&](auto& key) { return old(reader, key); });
            return found;
        },
        [&](Transaction& tx, const std::string& key, Nonces&) {
            if (!old(tx, key)) return false;
            tx.set_budget(key, {});
            return true;
        });
    if (dry_run) purged.budgets = would;

    // A code lives for minutes; a day later nobody asks how often it was guessed.
    if (!dry_run) {
        std::size_t removed = 0;
        run(store,
            [&](Transaction& tx) { removed = tx.remove_wrong_codes(tx.last_letter_before(now - day_ms)); });
        purged.codes = static_cast<std::int64_t>(removed);
    }
    return purged;
}

}  // namespace zgoda::service
