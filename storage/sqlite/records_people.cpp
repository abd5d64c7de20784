#include "storage/sqlite/records.h"

#include <algorithm>
#include <utility>

#include "storage/sqlite/rows.h"

namespace zgoda::storage {

using namespace service;

namespace {

// '5:WORDING 7:'
std::vector<Wish> parse_wishes(std::string_view text) {
    std::vector<Wish> wishes;
    while (!text.empty()) {
        Wish& wish = wishes.emplace_back();
        wish.newsletter = take_number(text);
        if (!text.empty()) text.remove_prefix(1);
        const auto end = std::min(text.find(' '), text.size());
        wish.wording = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return wishes;
}

std::string_view write_wishes(std::string& out, const std::vector<Wish>& wishes) {
    out.clear();
    for (const auto& wish : wishes) {
        if (!out.empty()) out += ' ';
        append_number(out, wish.newsletter);
        out += ':';
        out += wish.wording;
    }
    return out;
}

void append_word(std::vector<std::uint8_t>& out, std::uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
}

std::uint64_t read_word(const std::uint8_t* bytes) {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 8; ++i) word |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
    return word;
}

// Most people's keys and addresses are the same text; it is kept once.
std::optional<std::string_view> unless_same(const std::string& text, const std::string& key) {
    return text == key ? std::nullopt : std::optional<std::string_view>(text);
}

std::optional<std::span<const std::uint8_t>> unless_empty(const std::vector<std::uint8_t>& bytes) {
    return bytes.empty() ? std::nullopt : std::optional(std::span(bytes));
}

// The columns of each record, in the order in which its reader takes them.
const std::string person_columns =
    "id, addr_key, abuse_key, address, envelope, needs_smtputf8, name, locale, created_at, proven_at, "
    "generation";

Person read_person(const Query& row) {
    Person p;
    p.id = row.integer(0);
    p.addr_key = row.text(1);
    p.abuse_key = row.null(2) ? p.addr_key : row.string(2);
    p.address = row.null(3) ? p.addr_key : row.string(3);
    p.envelope = row.null(4) ? p.addr_key : row.string(4);
    p.needs_smtputf8 = row.flag(5);
    p.name = row.text(6);
    p.locale = row.text(7);
    p.created_at = row.integer(8);
    p.proven_at = row.optional(9);
    p.generation = static_cast<std::uint16_t>(row.small(10));
    return p;
}

const std::string subscription_columns =
    "id, person, newsletter, status, signed_up_at, confirmed_at, unsubscribed_at, paused_until, source, "
    "form, "
    "fields";

Subscription read_subscription(const Query& row) {
    Subscription s;
    s.id = row.integer(0);
    s.person = row.integer(1);
    s.newsletter = row.integer(2);
    s.status = static_cast<SubscriptionStatus>(row.small(3));
    s.signed_up_at = row.integer(4);
    s.confirmed_at = row.optional(5);
    s.unsubscribed_at = row.optional(6);
    s.paused_until = row.optional(7);
    s.source = row.text(8);
    s.form = row.text(9);
    s.fields = row.text(10);
    return s;
}

const std::string request_columns =
    "id, person, state, asked_at, wishes, locale, name, fields, source, form, ip, user_agent, network, "
    "browser, letter";

Request read_request(const Query& row) {
    Request r;
    r.id = row.integer(0);
    r.person = row.integer(1);
    r.state = static_cast<RequestState>(row.small(2));
    r.asked_at = row.integer(3);
    r.wishes = parse_wishes(row.text(4));
    r.locale = row.text(5);
    r.name = row.text(6);
    r.fields = row.text(7);
    r.source = row.text(8);
    r.form = row.text(9);
    r.ip = row.text(10);
    r.user_agent = row.text(11);
    r.network = row.text(12);
    r.browser = row.text(13);
    r.letter = row.optional(14);
    return r;
}

const std::string change_columns =
    "id, person, asked_at, done_at, ended_at, from_addr_key, from_abuse_key, from_address, from_envelope, "
    "from_needs_smtputf8, from_letter, from_confirmed_at, to_addr_key, to_abuse_key, to_address, "
    "to_envelope, "
    "to_needs_smtputf8, to_letter, to_confirmed_at";

AddressChange::End read_end(const Query& row, int at) {
    AddressChange::End end;
    end.addr_key = row.text(at);
    end.abuse_key = row.text(at + 1);
    end.address = row.text(at + 2);
    end.envelope = row.text(at + 3);
    end.needs_smtputf8 = row.flag(at + 4);
    end.letter = row.optional(at + 5);
    end.confirmed_at = row.optional(at + 6);
    return end;
}

AddressChange read_change(const Query& row) {
    AddressChange c;
    c.id = row.integer(0);
    c.person = row.integer(1);
    c.asked_at = row.integer(2);
    c.done_at = row.optional(3);
    c.ended_at = row.optional(4);
    c.from = read_end(row, 5);
    c.to = read_end(row, 12);
    return c;
}

// Whether somebody may have it. In the key of an address there is no colon.
bool is_address(std::string_view key) {
    return key.find(':') == std::string_view::npos;
}

}  // namespace

// --- people ---------------------------------------------------------------------------------------------

std::optional<Person> Records::person(Id id) {
    static const std::string sql = "SELECT " + person_columns + " FROM person WHERE id = ?1";
    return first(db().query(sql.c_str(), id), read_person);
}

std::optional<Person> Records::person_by_key(std::string_view key) {
    static const std::string sql =
        "SELECT " + person_columns + " FROM person WHERE key_hash = ?1 AND addr_key = ?2";
    return first(db().query(sql.c_str(), key_hash(key), key), read_person);
}

void Records::add(const Person& p) {
    end_unit();
    state_.newest = State::Newest{p.id, p.addr_key, take_budget(p.addr_key), p};
}

void Records::write_newest() {
    const Person p = *std::exchange(state_.newest->unwritten, std::nullopt);
    static const std::string sql =
        "INSERT INTO person (" + person_columns +
        ", budget, key_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    db_.run(sql.c_str(), p.id, p.addr_key, unless_same(p.abuse_key, p.addr_key),
            unless_same(p.address, p.addr_key), unless_same(p.envelope, p.addr_key), p.needs_smtputf8, p.name,
            p.locale, p.created_at, p.proven_at, p.generation, unless_empty(state_.newest->budget),
            key_hash(p.addr_key));
}

void Records::update(const Person& p) {
    db().run(
        "UPDATE subscription SET changed_at = ?5 WHERE person = ?1 AND EXISTS (SELECT 1 FROM person WHERE id "
        "= ?1 AND (name <> ?2 OR locale <> ?3 OR ifnull(address, addr_key) <> ?4))",
        p.id, p.name, p.locale, p.address, clock_now());
    // Apart from addr_key: its index would be written even if it stays as it is.
    db().run(
        "UPDATE person SET abuse_key = ?2, address = ?3, envelope = ?4, needs_smtputf8 = ?5, name = ?6, "
        "locale = ?7, created_at = ?8, proven_at = ?9, generation = ?10 WHERE id = ?1",
        p.id, unless_same(p.abuse_key, p.addr_key), unless_same(p.address, p.addr_key),
        unless_same(p.envelope, p.addr_key), p.needs_smtputf8, p.name, p.locale, p.created_at, p.proven_at,
        p.generation);
    must_have_changed("person");
    db().run("UPDATE person SET addr_key = ?2, key_hash = ?3, budget = NULL WHERE id = ?1 AND addr_key <> ?2",
             p.id, p.addr_key, key_hash(p.addr_key));
    if (db().changes() == 0) return;
    state_.newest = State::Newest{p.id, p.addr_key, take_budget(p.addr_key), {}};
    give_budget(p.id, state_.newest->budget);
}

void Records::erase_person(Id id) {
    end_unit();  // the newest may be somebody else
    state_.newest.reset();
    erased_ = true;
    db().run(
        "DELETE FROM wrong_code WHERE letter IN (SELECT id FROM letter WHERE person = ?1 UNION ALL SELECT "
        "-id "
        "FROM request WHERE person = ?1)",
        id);
    db().run("DELETE FROM address_change WHERE person = ?1", id);
    db().run("DELETE FROM bounce_score WHERE person = ?1", id);
    db().run("DELETE FROM request WHERE person = ?1", id);
    db().run("DELETE FROM import_entry WHERE person = ?1", id);
    db().run("DELETE FROM letter WHERE person = ?1", id);
    db().run("DELETE FROM subscription WHERE person = ?1", id);
    db().run(
        "DELETE FROM budget WHERE abuse_key = (SELECT coalesce(abuse_key, addr_key) FROM person WHERE id = "
        "?1)",
        id);
    db().run("DELETE FROM person WHERE id = ?1", id);
    db().run(
        "UPDATE ledger SET identity_nonce = NULL, identity = NULL, evidence_nonce = NULL, evidence = NULL "
        "WHERE person = ?1",
        id);
}

std::vector<Person> Records::people(Id after, std::size_t limit) {
    static const std::string sql =
        "SELECT " + person_columns + " FROM person WHERE id > ?1 ORDER BY id LIMIT ?2";
    return all(db().query(sql.c_str(), after, number(limit)), read_person);
}

std::vector<Id> Records::unproven_people(TimeMs created_before, Id after, std::size_t limit) {
    return all<Id>(
        db().query("SELECT id FROM person p WHERE id > ?2 AND proven_at IS NULL AND created_at < ?1 "
                   "AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.person = p.id AND s.status "
                   "NOT IN (0, 4)) ORDER BY id LIMIT ?3",
                   created_before, after, number(limit)),
        read_id);
}

BounceScore Records::bounce_score(Id person) {
    auto row = db().query("SELECT points, scored_at, struck_at FROM bounce_score WHERE person = ?1", person);
    return row.step() ? BounceScore{person, row.small(0), row.integer(1), row.integer(2)}
                      : BounceScore{person, 0, 0, 0};
}

void Records::set_bounce_score(const BounceScore& score) {
    db().run(
        "INSERT INTO bounce_score (person, points, scored_at, struck_at) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT DO UPDATE SET points = excluded.points, scored_at = excluded.scored_at, "
        "struck_at = excluded.struck_at",
        score.person, score.points, score.scored_at, score.struck_at);
}

// --- subscriptions --------------------------------------------------------------------------------------

std::optional<Subscription> Records::subscription(Id id) {
    static const std::string sql = "SELECT " + subscription_columns + " FROM subscription WHERE id = ?1";
    return first(db().query(sql.c_str(), id), read_subscription);
}

std::vector<Subscription> Records::subscriptions_of(Id person) {
    static const std::string sql =
        "SELECT " + subscription_columns + " FROM subscription WHERE person = ?1 ORDER BY id";
    return all(db().query(sql.c_str(), person), read_subscription);
}

void Records::add(const Subscription& s) {
    static const std::string sql = "INSERT INTO subscription (" + subscription_columns +
                                   ", changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    db().run(sql.c_str(), s.id, s.person, s.newsletter, number(s.status), s.signed_up_at, s.confirmed_at,
             s.unsubscribed_at, s.paused_until, s.source, s.form, s.fields, clock_now());
}

void Records::remove(const Subscription& s) {
    db().run("DELETE FROM subscription WHERE id = ?1", s.id);
}

void Records::update(const Subscription& s) {
    db().run(
        "UPDATE subscription SET status = ?2, signed_up_at = ?3, confirmed_at = ?4, unsubscribed_at = ?5, "
        "paused_until = ?6, source = ?7, form = ?8, fields = ?9, changed_at = ?10 WHERE id = ?1",
        s.id, number(s.status), s.signed_up_at, s.confirmed_at, s.unsubscribed_at, s.paused_until, s.source,
        s.form, s.fields, clock_now());
    must_have_changed("subscription");
}

std::vector<Subscription> Records::ended_pauses(TimeMs now, std::size_t limit) {
    static const std::string sql =
        "SELECT " + subscription_columns +
        " FROM subscription WHERE status = 2 AND paused_until <= ?1 ORDER BY paused_until, id LIMIT ?2";
    return all(db().query(sql.c_str(), now, number(limit)), read_subscription);
}

// --- changes of address ---------------------------------------------------------------------------------

std::optional<AddressChange> Records::address_change(Id id) {
    static const std::string sql = "SELECT " + change_columns + " FROM address_change WHERE id = ?1";
    return first(db().query(sql.c_str(), id), read_change);
}

std::vector<AddressChange> Records::address_changes_of(Id person) {
    static const std::string sql =
        "SELECT " + change_columns + " FROM address_change WHERE person = ?1 ORDER BY id";
    return all(db().query(sql.c_str(), person), read_change);
}

void Records::add(const AddressChange& c) {
    static const std::string sql = "INSERT INTO address_change (" + change_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                   "?15, ?16, ?17, ?18, ?19)";
    db().run(sql.c_str(), c.id, c.person, c.asked_at, c.done_at, c.ended_at, c.from.addr_key,
             c.from.abuse_key, c.from.address, c.from.envelope, c.from.needs_smtputf8, c.from.letter,
             c.from.confirmed_at, c.to.addr_key, c.to.abuse_key, c.to.address, c.to.envelope,
             c.to.needs_smtputf8, c.to.letter, c.to.confirmed_at);
}

void Records::update(const AddressChange& c) {
    db().run(
        "UPDATE address_change SET done_at = ?2, ended_at = ?3, from_letter = ?4, from_confirmed_at = ?5, "
        "to_letter = ?6, to_confirmed_at = ?7 WHERE id = ?1",
        c.id, c.done_at, c.ended_at, c.from.letter, c.from.confirmed_at, c.to.letter, c.to.confirmed_at);
    must_have_changed("change of address");
}

// --- requests -------------------------------------------------------------------------------------------

std::vector<Request> Records::requests_of(Id person) {
    static const std::string sql =
        "SELECT " + request_columns + " FROM request WHERE person = ?1 ORDER BY id";
    return all(db().query(sql.c_str(), person), read_request);
}

std::vector<Request> Records::waiting_requests(TimeMs asked_before, std::size_t limit) {
    static const std::string sql =
        "SELECT " + request_columns +
        " FROM request WHERE letter IS NULL AND state = 0 AND asked_at < ?1 ORDER BY asked_at, id LIMIT ?2";
    return all(db().query(sql.c_str(), asked_before, number(limit)), read_request);
}

void Records::add(const Request& r) {
    static const std::string sql =
        "INSERT INTO request (" + request_columns +
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    db().run(sql.c_str(), r.id, r.person, number(r.state), r.asked_at, write_wishes(scratch_, r.wishes),
             r.locale, r.name, r.fields, r.source, r.form, r.ip, r.user_agent, r.network, r.browser,
             r.letter);
}

void Records::update(const Request& r) {
    db().run("UPDATE request SET state = ?3, letter = ?4 WHERE person = ?1 AND id = ?2", r.person, r.id,
             number(r.state), r.letter);
    must_have_changed("request");
}

std::vector<Request> Records::requests_with_evidence(TimeMs asked_before, Id after_person, Id after_id,
                                                     std::size_t limit) {
    static const std::string sql = "SELECT " + request_columns +
                                   " FROM request WHERE (person, id) > (?2, ?3) AND asked_at < ?1 AND (ip <> "
                                   "network OR user_agent <> '' "
                                   "OR browser <> '') ORDER BY person, id LIMIT ?4";
    return all(db().query(sql.c_str(), asked_before, after_person, after_id, number(limit)), read_request);
}

void Records::forget_evidence(const Request& r) {
    db().run("UPDATE request SET ip = network, user_agent = '', browser = '' WHERE person = ?1 AND id = ?2",
             r.person, r.id);
}

// --- suppressions and budget ----------------------------------------------------------------------------

std::vector<Suppression> Records::suppressions(const Digest& key) {
    std::vector<Suppression> found;
    // Not ORDER BY at: it makes a sorter each time, and hardly anybody is suppressed.
    auto row = db().query("SELECT key_id, reason, at FROM suppression WHERE key = ?1 ORDER BY reason", key);
    while (row.step()) {
        found.push_back({key, row.small(0), static_cast<SuppressionReason>(row.small(1)), row.integer(2)});
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Suppression& a, const Suppression& b) { return a.at < b.at; });
    return found;
}

void Records::add(const Suppression& s) {
    db().run(
        "INSERT INTO suppression (key, reason, key_id, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        s.key, number(s.reason), s.key_id, s.at);
}

void Records::remove(const Suppression& s) {
    db().run("DELETE FROM suppression WHERE key = ?1 AND reason = ?2", s.key, number(s.reason));
}

std::vector<Suppression> Records::all_suppressions(const Suppression* after, std::size_t limit) {
    static constexpr Digest none{};
    std::vector<Suppression> found;
    auto row = db().query(
        "SELECT key, key_id, reason, at FROM suppression WHERE (key, reason) > (?1, ?2) ORDER BY key, reason "
        "LIMIT ?3",
        after ? after->key : none, after ? number(after->reason) : -1, number(limit));
    while (row.step()) {
        found.push_back(
            {row.bytes<32>(0), row.small(1), static_cast<SuppressionReason>(row.small(2)), row.integer(3)});
    }
    return found;
}

// The budget of an address that somebody here has stands in her row, which a signup writes anyway; only what
// is counted under an address of nobody (that of ada+news@ is ada@) needs a row of its own. A signup of
// somebody new asks for the budget of the person whom it has just added.
std::vector<BudgetEntry> Records::budget(std::string_view abuse_key) {
    std::vector<BudgetEntry> entries;
    const auto read = [&entries](std::span<const std::uint8_t> bytes) {
        for (std::size_t at = 0; at + 16 <= bytes.size(); at += 16) {
            entries.push_back({number(read_word(&bytes[at])), read_word(&bytes[at + 8])});
        }
    };
    if (state_.newest && state_.newest->addr_key == abuse_key) {
        read(state_.newest->budget);
        return entries;
    }
    if (is_address(abuse_key)) {
        auto hers = db_.query("SELECT budget FROM person WHERE key_hash = ?1 AND addr_key = ?2",
                              key_hash(abuse_key), abuse_key);
        if (hers.step()) {
            read(hers.blob(0));
            return entries;
        }
    }
    auto row = db_.query("SELECT entries FROM budget WHERE abuse_key = ?1", abuse_key);
    if (row.step()) read(row.blob(0));
    return entries;
}

void Records::set_budget(std::string_view abuse_key, std::span<const BudgetEntry> entries) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(16 * entries.size());
    for (const auto& entry : entries) {
        append_word(bytes, static_cast<std::uint64_t>(entry.at));
        append_word(bytes, entry.network);
    }
    if (state_.newest && state_.newest->addr_key == abuse_key) {
        if (!state_.newest->unwritten) give_budget(state_.newest->id, bytes);
        state_.newest->budget = std::move(bytes);
        return;
    }
    if (entries.empty()) {
        db().run(
            "UPDATE person SET budget = NULL WHERE key_hash = ?1 AND addr_key = ?2 AND budget IS NOT NULL",
            key_hash(abuse_key), abuse_key);
        db().run("DELETE FROM budget WHERE abuse_key = ?1", abuse_key);
        return;
    }
    if (is_address(abuse_key)) {
        db().run("UPDATE person SET budget = ?3 WHERE key_hash = ?1 AND addr_key = ?2", key_hash(abuse_key),
                 abuse_key, bytes);
        if (db().changes() > 0) return;
    }
    db().run(
        "INSERT INTO budget (abuse_key, entries) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET entries = "
        "excluded.entries",
        abuse_key, bytes);
}

void Records::give_budget(Id person, const std::vector<std::uint8_t>& bytes) {
    db().run("UPDATE person SET budget = ?2 WHERE id = ?1", person, unless_empty(bytes));
}

// Somebody has this address now: what was counted under it is hers.
std::vector<std::uint8_t> Records::take_budget(const std::string& addr_key) {
    std::vector<std::uint8_t> hers;
    {
        auto row = db_.query("SELECT entries FROM budget WHERE abuse_key = ?1", addr_key);
        if (!row.step()) return hers;
        const auto bytes = row.blob(0);
        hers.assign(bytes.begin(), bytes.end());
    }
    db_.run("DELETE FROM budget WHERE abuse_key = ?1", addr_key);
    return hers;
}

std::vector<std::string> Records::budget_keys(std::string_view after, std::size_t limit) {
    std::vector<std::string> keys;
    auto row = db().query("SELECT abuse_key FROM budget WHERE abuse_key > ?1 ORDER BY abuse_key LIMIT ?2",
                          after, number(limit));
    while (row.step()) keys.push_back(row.string(0));
    return keys;
}

}  // namespace zgoda::storage
