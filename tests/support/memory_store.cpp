#include "tests/support/memory_store.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace zgoda::tests {

using namespace service;

namespace {

bool to_be_sent(const Letter& l) {
    return l.state == LetterState::queued || l.state == LetterState::deferred ||
           l.state == LetterState::uncertain;
}

bool still_open(const Letter& l) {
    return to_be_sent(l) || l.state == LetterState::leased;
}

TimeMs clock_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

template <class Record, class Condition>
std::vector<Record> select(const std::map<Id, Record>& table, Condition wanted) {
    std::vector<Record> found;
    for (const auto& [id, record] : table) {
        if (wanted(record)) found.push_back(record);
    }
    return found;
}

template <class Record>
std::optional<Record> find(const std::map<Id, Record>& table, Id id) {
    const auto it = table.find(id);
    return it == table.end() ? std::nullopt : std::optional(it->second);
}

template <class Record>
void insert(std::map<Id, Record>& table, const Record& record) {
    if (!table.emplace(record.id, record).second) throw StorageError("the id is taken");
}

template <class Record>
Record& existing(std::map<Id, Record>& table, Id id) {
    const auto it = table.find(id);
    if (it == table.end()) throw std::logic_error("update of what is not there");
    return it->second;
}

template <class Record, class Key>
void sort_and_cut(std::vector<Record>& records, Key key, std::size_t limit) {
    std::stable_sort(records.begin(), records.end(),
                     [&](const Record& a, const Record& b) { return key(a) < key(b); });
    if (records.size() > limit)
        records.erase(records.begin() + static_cast<std::ptrdiff_t>(limit), records.end());
}

class Unit : public Transaction {
 public:
    Unit(MemoryStore::Tables& tables, std::vector<std::string>& journal, const bool& breaking)
        : tables_(tables), journal_(journal), breaking_(breaking) {}

    std::shared_ptr<const Newsletters> newsletters() override {
        check();
        std::vector<Newsletter> all;
        for (const auto& [id, newsletter] : tables_.newsletters) all.push_back(newsletter);
        return std::make_shared<const Newsletters>(std::move(all));
    }
    std::optional<Wording> wording(std::string_view id) override {
        const auto it = t().wordings.find(id);
        return it == tables_.wordings.end() ? std::nullopt : std::optional(it->second);
    }

    std::optional<Person> person(Id id) override { return find(t().people, id); }
    std::optional<Person> person_by_key(std::string_view key) override {
        for (const auto& [id, person] : t().people) {
            if (person.addr_key == key) return person;
        }
        return std::nullopt;
    }
    std::optional<Subscription> subscription(Id id) override { return find(t().subscriptions, id); }
    std::vector<Subscription> subscriptions_of(Id person) override {
        return select(t().subscriptions, [&](const Subscription& s) { return s.person == person; });
    }
    std::vector<Request> requests_of(Id person) override {
        return select(t().requests, [&](const Request& r) { return r.person == person; });
    }

    std::optional<Letter> letter(Id id) override { return find(t().letters, id); }
    std::vector<Letter> letters_of(Id person) override {
        return select(t().letters, [&](const Letter& l) { return l.person == person; });
    }
    std::optional<Letter> open_letter(Id person, LetterKind kind) override {
        for (const auto& [id, l] : t().letters) {
            if (l.person == person && l.kind == kind && still_open(l)) return l;
        }
        return std::nullopt;
    }
    std::vector<Letter> due_letters(TimeMs now, std::size_t limit) override {
        auto due = select(t().letters, [&](const Letter& l) { return to_be_sent(l) && l.due_at <= now; });
        sort_and_cut(
            due, [](const Letter& l) { return std::pair(rank(l.kind), l.due_at); }, limit);
        return due;
    }
    std::vector<Letter> leased_letters() override {
        return select(t().letters, [](const Letter& l) { return l.state == LetterState::leased; });
    }
    OutboxCounts outbox(TimeMs now) override {
        OutboxCounts counts;
        for (const auto& [id, l] : t().letters) {
            if (still_open(l)) ++counts.waiting;
            if (!to_be_sent(l) || l.due_at > now) continue;
            ++counts.due;
            counts.oldest_due = std::min(counts.oldest_due.value_or(l.due_at), l.due_at);
        }
        return counts;
    }
    MailerNote mailer_note() override { return t().note; }
    std::optional<ProxyNote> proxy_note() override { return t().proxy_note; }
    std::vector<Request> waiting_requests(TimeMs asked_before, std::size_t limit) override {
        auto waiting = select(t().requests, [&](const Request& r) {
            return r.state == RequestState::open && !r.letter && r.asked_at < asked_before;
        });
        sort_and_cut(
            waiting, [](const Request& r) { return r.asked_at; }, limit);
        return waiting;
    }

    std::vector<Letter> open_letters(TimeMs due_after, Id after, std::size_t limit) override {
        auto open = select(t().letters, [&](const Letter& l) {
            return to_be_sent(l) && std::pair(l.due_at, l.id) > std::pair(due_after, after);
        });
        sort_and_cut(
            open, [](const Letter& l) { return l.due_at; }, limit);
        return open;
    }
    std::vector<MailPause> mail_pauses() override {
        auto pauses = t().mail_pauses;
        sort_and_cut(
            pauses, [](const MailPause& p) { return std::pair(p.scope, p.name); }, pauses.size());
        return pauses;
    }
    std::vector<Person> people(Id after, std::size_t limit) override {
        auto found = select(t().people, [&](const Person& p) { return p.id > after; });
        found.resize(std::min(limit, found.size()));
        return found;
    }
    std::vector<Id> unproven_people(TimeMs created_before, Id after, std::size_t limit) override {
        std::vector<Id> found;
        for (const auto& [id, p] : t().people) {
            const auto hers = subscriptions_of(id);
            const bool open = std::all_of(hers.begin(), hers.end(), [](const Subscription& s) {
                return s.status == SubscriptionStatus::pending ||
                       s.status == SubscriptionStatus::undeliverable;
            });
            if (id > after && !p.proven_at && p.created_at < created_before && open && found.size() < limit)
                found.push_back(id);
        }
        return found;
    }
    std::vector<Suppression> all_suppressions(const Suppression* after, std::size_t limit) override {
        const auto order = [](const Suppression& s) { return std::pair(s.key, s.reason); };
        std::vector<Suppression> found;
        for (const auto& s : t().suppressions) {
            if (!after || order(s) > order(*after)) found.push_back(s);
        }
        sort_and_cut(found, order, limit);
        return found;
    }
    std::vector<std::int64_t> events_with_evidence(TimeMs before, std::int64_t after_seq,
                                                   std::size_t limit) override {
        std::vector<std::int64_t> found;
        for (const auto& e : t().ledger) {
            if (e.seq > after_seq && e.at < before && e.evidence_nonce && found.size() < limit)
                found.push_back(e.seq);
        }
        return found;
    }
    std::vector<Request> requests_with_evidence(TimeMs asked_before, Id after_person, Id after_id,
                                                std::size_t limit) override {
        auto found = select(t().requests, [&](const Request& r) {
            return r.asked_at < asked_before &&
                   (r.ip != r.network || !r.user_agent.empty() || !r.browser.empty()) &&
                   std::pair(r.person, r.id) > std::pair(after_person, after_id);
        });
        sort_and_cut(
            found, [](const Request& r) { return std::pair(r.person, r.id); }, limit);
        return found;
    }
    std::vector<Id> finished_letters(TimeMs created_before, Id after, std::size_t limit) override {
        std::vector<Id> found;
        for (const auto& [id, l] : t().letters) {
            if (id > after && l.created_at < created_before && !still_open(l) && found.size() < limit)
                found.push_back(id);
        }
        return found;
    }
    std::vector<std::string> budget_keys(std::string_view after, std::size_t limit) override {
        std::vector<std::string> keys;
        for (const auto& [key, entries] : t().budget) {
            if (key > after && !person_by_key(key) && keys.size() < limit) keys.push_back(key);
        }
        return keys;
    }
    Id last_letter_before(TimeMs created_before) override {
        Id last = 0;
        for (const auto& [id, l] : t().letters) {
            if (l.created_at < created_before) last = id;
        }
        return last;
    }
    std::vector<AdminToken> admin_tokens() override {
        return select(t().admin_tokens, [](const AdminToken&) { return true; });
    }
    std::optional<AdminToken> admin_token(const Digest& digest) override {
        for (const auto& [id, token] : t().admin_tokens) {
            if (token.digest == digest) return token;
        }
        return std::nullopt;
    }
    std::vector<AdminAct> admin_acts(Id before, std::size_t limit) override {
        auto acts = t().admin_acts;
        std::erase_if(acts, [&](const AdminAct& a) { return before != 0 && a.id >= before; });
        std::reverse(acts.begin(), acts.end());
        acts.resize(std::min(limit, acts.size()));
        return acts;
    }

    std::vector<Subscription> ended_pauses(TimeMs now, std::size_t limit) override {
        auto ended = select(t().subscriptions, [&](const Subscription& s) {
            return s.status == SubscriptionStatus::paused && s.paused_until && *s.paused_until <= now;
        });
        sort_and_cut(
            ended, [](const Subscription& s) { return s.paused_until; }, limit);
        return ended;
    }
    std::optional<AddressChange> address_change(Id id) override { return find(t().address_changes, id); }
    std::vector<AddressChange> address_changes_of(Id person) override {
        return select(t().address_changes, [&](const AddressChange& c) { return c.person == person; });
    }
    BounceScore bounce_score(Id person) override {
        const auto it = t().bounce_scores.find(person);
        return it == tables_.bounce_scores.end() ? BounceScore{person, 0, 0, 0} : it->second;
    }

    int wrong_codes(Id letter) override {
        const auto it = t().wrong_codes.find(letter);
        return it == tables_.wrong_codes.end() ? 0 : it->second;
    }

    std::vector<Suppression> suppressions(const Digest& key) override {
        std::vector<Suppression> found;
        for (const auto& s : t().suppressions) {
            if (s.key == key) found.push_back(s);
        }
        sort_and_cut(
            found, [](const Suppression& s) { return std::pair(s.at, s.reason); }, found.size());
        return found;
    }
    std::vector<BudgetEntry> budget(std::string_view key) override {
        const auto it = t().budget.find(key);
        return it == tables_.budget.end() ? std::vector<BudgetEntry>() : it->second;
    }

    LedgerHead ledger_head() override { return t().head; }
    std::vector<Event> events(std::int64_t after_seq, std::size_t limit) override {
        std::vector<Event> found;
        for (const auto& e : t().ledger) {
            if (e.seq > after_seq && found.size() < limit) found.push_back(e);
        }
        return found;
    }
    std::vector<Event> events_of(Id person) override {
        std::vector<Event> found;
        for (const auto& e : t().ledger) {
            if (e.person == person) found.push_back(e);
        }
        return found;
    }

    std::optional<ImportBatch> import_batch(Id id) override { return find(t().import_batches, id); }
    std::vector<ImportBatch> import_batches() override {
        return select(t().import_batches, [](const ImportBatch&) { return true; });
    }
    std::vector<ImportEntry> import_entries(Id batch, std::size_t limit) override {
        std::vector<ImportEntry> found;
        for (auto it = t().import_entries.rbegin(); it != tables_.import_entries.rend(); ++it) {
            if (it->first.first == batch && found.size() < limit) found.push_back(it->second);
        }
        return found;
    }
    std::vector<ImportEntry> import_entries_of(Id person) override {
        std::vector<ImportEntry> found;
        for (const auto& [key, entry] : t().import_entries) {
            if (entry.person == person) found.push_back(entry);
        }
        return found;
    }

    std::size_t export_rows(const ExportFilter& filter, Id after, std::size_t limit,
                            const std::function<void(const ExportRow&)>& row) override {
        std::size_t count = 0;
        for (const auto& [id, s] : t().subscriptions) {
            if (id <= after || !passes(filter, s)) continue;
            if (count == limit) break;
            const Person& p = tables_.people.at(s.person);
            row({id, p.address, p.name, tables_.newsletters.at(s.newsletter).slug, p.locale, s.source, s.form,
                 s.fields, s.status, s.signed_up_at, s.confirmed_at, s.unsubscribed_at});
            ++count;
        }
        return count;
    }
    std::int64_t count_export_rows(const ExportFilter& filter) override {
        return std::count_if(t().subscriptions.begin(), t().subscriptions.end(),
                             [&](const auto& entry) { return passes(filter, entry.second); });
    }

    Id new_id() override { return ++t().last_id; }

    void add(const Newsletter& n) override {
        if (newsletters()->find(n.slug)) throw std::logic_error("the slug is taken");
        insert(t().newsletters, n);
    }
    void update(const Newsletter& n) override {
        for (const auto& [id, other] : t().newsletters) {
            const auto& aliases = other.aliases;
            if (id != n.id &&
                (other.slug == n.slug || std::count(aliases.begin(), aliases.end(), n.slug) != 0)) {
                throw std::logic_error("the slug is taken");
            }
        }
        existing(tables_.newsletters, n.id) = n;
    }
    void keep(const Wording& w) override { t().wordings.emplace(w.id, w); }

    void add(const Person& p) override {
        if (person_by_key(p.addr_key)) throw StorageError("addr_key is taken");
        insert(t().people, p);
    }
    void update(const Person& p) override {
        Person& kept = existing(t().people, p.id);
        if (kept.name != p.name || kept.locale != p.locale || kept.address != p.address) {
            for (const Subscription& s : subscriptions_of(p.id)) tables_.changed_at[s.id] = clock_now();
        }
        kept = p;
    }
    void add(const Subscription& s) override {
        must_exist(s.person);
        for (const auto& other : subscriptions_of(s.person)) {
            if (other.newsletter == s.newsletter) throw StorageError("subscribed already");
        }
        if (!tables_.newsletters.contains(s.newsletter)) throw StorageError("no such newsletter");
        insert(tables_.subscriptions, s);
        tables_.changed_at[s.id] = clock_now();
    }
    void update(const Subscription& s) override {
        existing(t().subscriptions, s.id) = s;
        tables_.changed_at[s.id] = clock_now();
    }
    void add(const Request& r) override {
        must_exist(r.person);
        insert(t().requests, r);
    }
    void update(const Request& r) override {
        Request& kept = existing(t().requests, r.id);
        kept.state = r.state;
        kept.letter = r.letter;
    }
    void add(const Letter& l) override {
        must_exist(l.person);
        if (l.kind == LetterKind::confirmation && still_open(l) && open_letter(l.person, l.kind)) {
            throw StorageError("a second open confirmation");
        }
        insert(t().letters, l);
    }
    void update(const Letter& l) override { existing(t().letters, l.id) = l; }
    void note_mailer(const MailerNote& note) override { t().note = note; }
    void note_proxy(const std::optional<ProxyNote>& note) override { t().proxy_note = note; }
    void add(const AddressChange& c) override {
        must_exist(c.person);
        insert(t().address_changes, c);
    }
    void update(const AddressChange& c) override { existing(t().address_changes, c.id) = c; }
    void set_bounce_score(const BounceScore& score) override { t().bounce_scores[score.person] = score; }
    void set_wrong_codes(Id letter, int wrong) override { t().wrong_codes[letter] = wrong; }

    void add(const Suppression& s) override {
        for (const auto& other : t().suppressions) {
            if (other.key == s.key && other.reason == s.reason) return;
        }
        tables_.suppressions.push_back(s);
    }
    void remove(const Suppression& s) override {
        std::erase_if(t().suppressions, [&](const Suppression& other) {
            return other.key == s.key && other.reason == s.reason;
        });
    }
    void set_budget(std::string_view key, std::span<const BudgetEntry> entries) override {
        auto& kept = t().budget[std::string(key)];
        kept.assign(entries.begin(), entries.end());
        if (kept.empty()) tables_.budget.erase(std::string(key));
    }

    void add(const MailPause& p) override {
        for (const auto& other : t().mail_pauses) {
            if (other.scope == p.scope && other.name == p.name) return;
        }
        tables_.mail_pauses.push_back(p);
    }
    void remove(const MailPause& p) override {
        std::erase_if(t().mail_pauses,
                      [&](const MailPause& other) { return other.scope == p.scope && other.name == p.name; });
    }
    void add(const AdminToken& a) override { t().admin_tokens[a.id] = a; }
    void update(const AdminToken& a) override {
        AdminToken& kept = existing(t().admin_tokens, a.id);
        kept.revoked_at = a.revoked_at;
        kept.last_used_at = a.last_used_at;
    }
    void add(const AdminAct& a) override { t().admin_acts.push_back(a); }
    void forget_evidence(std::int64_t event) override {
        for (auto& e : t().ledger) {
            if (e.seq != event) continue;
            e.evidence_nonce.reset();
            e.evidence.clear();
        }
    }
    void forget_evidence(const Request& r) override {
        Request& kept = existing(t().requests, r.id);
        kept.ip = kept.network;
        kept.user_agent.clear();
        kept.browser.clear();
    }
    void remove_letter(Id id) override { t().letters.erase(id); }
    std::size_t remove_wrong_codes(Id until) override {
        return std::erase_if(t().wrong_codes,
                             [&](const auto& one) { return one.first >= -until && one.first <= until; });
    }

    void append(const Event& e, Seal seal) override {
        const LedgerHead& before = t().head;
        if (e.seq != before.seq + 1 || e.previous != before.hash) {
            throw std::logic_error("an event that does not follow the ledger's head");
        }
        tables_.ledger.push_back(e);
        tables_.head = seal(e.seq, e.hash);
    }

    void remove(const Subscription& s) override { t().subscriptions.erase(s.id); }
    void add(const ImportBatch& b) override {
        for (const auto& [id, other] : t().import_batches) {
            if (other.name == b.name) throw StorageError("the name is taken");
        }
        insert(tables_.import_batches, b);
    }
    void update(const ImportBatch& b) override { existing(t().import_batches, b.id) = b; }
    void add(const ImportEntry& e) override {
        if (!t().import_batches.contains(e.batch)) throw StorageError("no such batch");
        if (!tables_.import_entries.emplace(std::pair(e.batch, e.row), e).second)
            throw StorageError("the row is taken");
    }
    void update(const ImportEntry& e) override {
        t().import_entries.at({e.batch, e.row}).changes = e.changes;
    }
    void remove(const ImportEntry& e) override { t().import_entries.erase({e.batch, e.row}); }
    std::size_t forget_import_entries(Id batch, std::size_t limit) override {
        std::size_t count = 0;
        for (auto it = t().import_entries.begin(); it != tables_.import_entries.end() && count < limit;) {
            if (it->first.first != batch) {
                ++it;
                continue;
            }
            it = tables_.import_entries.erase(it);
            ++count;
        }
        return count;
    }

    void erase_person(Id id) override {
        std::erase_if(t().import_entries, [&](const auto& entry) { return entry.second.person == id; });
        const auto hers = [&](const auto& entry) { return entry.second.person == id; };
        tables_.bounce_scores.erase(id);
        for (const Request& request : requests_of(id)) tables_.wrong_codes.erase(-request.id);
        for (const Letter& letter : letters_of(id)) tables_.wrong_codes.erase(letter.id);
        std::erase_if(t().subscriptions, hers);
        std::erase_if(tables_.address_changes, hers);
        std::erase_if(tables_.requests, hers);
        std::erase_if(tables_.letters, hers);
        const auto person = tables_.people.find(id);
        if (person != tables_.people.end()) tables_.budget.erase(person->second.abuse_key);
        tables_.people.erase(id);
        for (auto& e : tables_.ledger) {
            if (e.person != id) continue;
            e.identity_nonce.reset();
            e.identity.clear();
            e.evidence_nonce.reset();
            e.evidence.clear();
        }
    }

    void journal_withdrawal(std::string_view line) override {
        check();
        journal_.emplace_back(line);
    }

 private:
    void check() const {
        if (breaking_) throw StorageError("the database is broken");
    }
    MemoryStore::Tables& t() {
        check();
        return tables_;
    }
    void must_exist(Id person) {
        if (!t().people.contains(person)) throw StorageError("no such person");
    }
    bool passes(const ExportFilter& filter, const Subscription& s) {
        return (!filter.newsletter || *filter.newsletter == s.newsletter) &&
               (!filter.status || *filter.status == s.status) &&
               (!filter.changed_since || tables_.changed_at.at(s.id) >= *filter.changed_since) &&
               (filter.locale.empty() || filter.locale == tables_.people.at(s.person).locale);
    }

    MemoryStore::Tables& tables_;
    std::vector<std::string>& journal_;
    const bool& breaking_;
};

class Presence : public MailerPresence {
 public:
    Presence(std::string id, std::set<std::string>& living) : id_(std::move(id)), living_(living) {
        living_.insert(id_);
    }
    ~Presence() override { living_.erase(id_); }
    const std::string& id() const override { return id_; }

 private:
    std::string id_;
    std::set<std::string>& living_;
};

}  // namespace

void MemoryStore::submit(Work work, Done done) {
    if (failing != Commit::done) {
        done({failing, nullptr});
        return;
    }
    CommitResult result;
    for (int runs = run_twice ? 2 : 1; runs > 0; --runs) {
        Tables before = tables;
        auto journal_before = withdrawals_journal.size();
        Unit unit(tables, withdrawals_journal, breaking);
        result = {};
        try {
            work(unit);
        } catch (...) {
            result = {Commit::failed, std::current_exception()};
        }
        if (runs == 1 && result.commit == Commit::done) continue;
        before.last_id = std::max(before.last_id, tables.last_id);  // an id given out is never given again
        tables = std::move(before);
        withdrawals_journal.resize(journal_before);
    }
    if (result.commit == Commit::done) ++commits;
    done(std::move(result));
}

void MemoryStore::read(Query query, Done done) {
    CommitResult result;
    ++reads;
    try {
        Unit unit(tables, withdrawals_journal, breaking);
        query(unit);
    } catch (...) {
        result = {Commit::failed, std::current_exception()};
    }
    done(std::move(result));
}

std::unique_ptr<MailerPresence> MemoryStore::enlist_mailer() {
    return std::make_unique<Presence>("mailer-" + std::to_string(++mailers_ever_), mailers_);
}

}  // namespace zgoda::tests
