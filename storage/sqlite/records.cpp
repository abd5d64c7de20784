#include "storage/sqlite/records.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <stdexcept>

namespace zgoda::storage {

using namespace service;

namespace {

// Lists of numbers in one column: '5 7 12', and for wishes '5:WORDING 7:'.
void append_number(std::string& out, std::int64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

Id take_number(std::string_view& text) {
    Id number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) throw StorageError("a list in the database is not one of numbers");
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

std::vector<Id> parse_ids(std::string_view text) {
    std::vector<Id> ids;
    while (!text.empty()) {
        ids.push_back(take_number(text));
        if (!text.empty()) text.remove_prefix(1);
    }
    return ids;
}

std::string_view write_ids(std::string& out, const std::vector<Id>& ids) {
    out.clear();
    for (const Id id : ids) {
        if (!out.empty()) out += ' ';
        append_number(out, id);
    }
    return out;
}

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

// 'unproven 3,erased 1'
std::map<std::string, std::int64_t> parse_counts(std::string_view text) {
    std::map<std::string, std::int64_t> counts;
    while (!text.empty()) {
        const auto space = std::min(text.find(' '), text.size());
        std::int64_t& count = counts[std::string(text.substr(0, space))];
        text.remove_prefix(std::min(space + 1, text.size()));
        count = take_number(text);
        if (!text.empty()) text.remove_prefix(1);
    }
    return counts;
}

std::string_view write_counts(std::string& out, const std::map<std::string, std::int64_t>& counts) {
    out.clear();
    for (const auto& [word, count] : counts) {
        if (!out.empty()) out += ',';
        (out += word) += ' ';
        append_number(out, count);
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

template <class Word>
std::int64_t number(Word word) {
    return static_cast<std::int64_t>(word);
}

// Most people's keys and addresses are the same text; it is kept once.
std::optional<std::string_view> unless_same(const std::string& text, const std::string& key) {
    return text == key ? std::nullopt : std::optional<std::string_view>(text);
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

const std::string letter_columns =
    "id, person, kind, state, locale, created_at, due_at, first_leased_at, leased_at, sent_at, expires_at, "
    "leased_by, attempts, uncertain, message_id, key_id, newsletters, network, budgeted, mailbox_unknown, "
    "reply, change, suspect";

Letter read_letter(const Query& row) {
    Letter l;
    l.id = row.integer(0);
    l.person = row.integer(1);
    l.kind = static_cast<LetterKind>(row.small(2));
    l.state = static_cast<LetterState>(row.small(3));
    l.locale = row.text(4);
    l.created_at = row.integer(5);
    l.due_at = row.integer(6);
    l.first_leased_at = row.optional(7);
    l.leased_at = row.optional(8);
    l.sent_at = row.optional(9);
    l.expires_at = row.optional(10);
    l.leased_by = row.text(11);
    l.attempts = row.small(12);
    l.uncertain = row.small(13);
    l.message_id = row.text(14);
    l.key_id = row.small(15);
    l.newsletters = parse_ids(row.text(16));
    l.network = row.text(17);
    l.budgeted = row.flag(18);
    l.mailbox_unknown = row.flag(19);
    l.reply = row.text(20);
    l.change = row.optional(21);
    l.suspect = row.flag(22);
    return l;
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

const std::string event_columns =
    "seq, at, kind, person, details, identity_commitment, evidence_commitment, previous, hash, "
    "identity_nonce, identity, evidence_nonce, evidence";

Event read_event(const Query& row) {
    Event e;
    e.seq = row.integer(0);
    e.at = row.integer(1);
    e.kind = static_cast<EventKind>(row.small(2));
    e.person = row.integer(3);
    e.details = row.text(4);
    e.identity_commitment = row.bytes<32>(5);
    e.evidence_commitment = row.bytes<32>(6);
    e.previous = row.bytes<32>(7);
    e.hash = row.bytes<32>(8);
    if (!row.null(9)) e.identity_nonce = row.bytes<16>(9);
    e.identity = row.text(10);
    if (!row.null(11)) e.evidence_nonce = row.bytes<16>(11);
    e.evidence = row.text(12);
    return e;
}

const std::string batch_columns =
    "id, name, digest, state, format, basis, started_at, changed_at, position, imported, merged, unchanged, "
    "refused, restored, kept, whys";

ImportBatch read_batch(const Query& row) {
    ImportBatch b;
    b.id = row.integer(0);
    b.name = row.text(1);
    b.digest = row.bytes<32>(2);
    b.state = static_cast<ImportState>(row.small(3));
    b.format = row.text(4);
    b.basis = row.text(5);
    b.started_at = row.integer(6);
    b.changed_at = row.integer(7);
    b.position = row.integer(8);
    b.imported = row.integer(9);
    b.merged = row.integer(10);
    b.unchanged = row.integer(11);
    b.refused = row.integer(12);
    b.restored = row.integer(13);
    b.kept = row.integer(14);
    b.whys = parse_counts(row.text(15));
    return b;
}

ImportEntry read_entry(const Query& row) {
    return {row.integer(0), row.integer(1), row.integer(2), row.string(3)};
}

template <class Record>
std::optional<Record> first(Query row, Record (*read)(const Query&)) {
    if (!row.step()) return std::nullopt;
    return read(row);
}

template <class Record>
std::vector<Record> all(Query row, Record (*read)(const Query&)) {
    std::vector<Record> records;
    while (row.step()) records.push_back(read(row));
    return records;
}

// Whether somebody may have it. In the key of an address there is no colon.
bool is_address(std::string_view key) {
    return key.find(':') == std::string_view::npos;
}

Id read_id(const Query& row) {
    return row.integer(0);
}

// ?1 newsletter, ?2 status, ?3 changed since, ?4 locale; NULL or '' does not filter.
const std::string export_filter =
    "(?1 IS NULL OR s.newsletter = ?1) AND (?2 IS NULL OR s.status = ?2) AND "
    "(?3 IS NULL OR s.changed_at >= ?3) AND "
    "(?4 = '' OR p.locale = ?4)";

TimeMs clock_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::optional<std::int64_t> status_number(const ExportFilter& filter) {
    if (!filter.status) return std::nullopt;
    return number(*filter.status);
}

}  // namespace

std::shared_ptr<const Newsletters> NewslettersCache::find(std::int64_t version) const {
    const std::lock_guard lock(mutex_);
    return version == version_ ? newsletters_ : nullptr;
}

void NewslettersCache::keep(std::int64_t version, std::shared_ptr<const Newsletters> newsletters) {
    const std::lock_guard lock(mutex_);
    if (version <= version_) return;
    version_ = version;
    newsletters_ = std::move(newsletters);
}

// --- the bracket ---------------------------------------------------------------------------------

void Records::begin_view() {
    state_ = {};
    sequence_loaded_ = false;
    withdrawals_.clear();
    erased_ = false;
}

void Records::begin_unit() {
    before_unit_ = state_;
    before_unit_.withdrawals_size = withdrawals_.size();
}

void Records::undo_unit() {
    state_ = before_unit_;
    withdrawals_.resize(before_unit_.withdrawals_size);
}

void Records::end_group() {
    if (sequence_loaded_ && (last_id_ != stored_id_ || state_.newsletters_changed)) {
        db_.run("UPDATE sequence SET last_id = ?1, newsletters = ?2", last_id_,
                newsletters_version_ + (state_.newsletters_changed ? 1 : 0));
    }
    if (state_.head_changed) {
        const LedgerHead& head = *state_.head;
        db_.run("UPDATE ledger_head SET seq = ?1, hash = ?2, key_id = ?3, seal = ?4", head.seq, head.hash,
                head.key_id, head.seal);
    }
}

void Records::load_sequence() {
    if (sequence_loaded_) return;
    auto row = db_.query("SELECT last_id, newsletters FROM sequence");
    if (!row.step()) throw StorageError("the database has lost its sequence of ids");
    stored_id_ = row.integer(0);
    last_id_ = std::max(last_id_, stored_id_);
    newsletters_version_ = row.integer(1);
    sequence_loaded_ = true;
}

Id Records::new_id() {
    load_sequence();
    return ++last_id_;
}

void Records::must_have_changed(const char* what) {
    if (db_.changes() == 0) throw std::logic_error(std::string("update of a ") + what + " that is not there");
}

// --- newsletters ---------------------------------------------------------------------------------

std::shared_ptr<const Newsletters> Records::newsletters() {
    if (state_.newsletters) return state_.newsletters;
    load_sequence();
    // What this transaction changed nobody else may see before the commit.
    if (!state_.newsletters_changed) state_.newsletters = cache_.find(newsletters_version_);
    if (!state_.newsletters) {
        state_.newsletters = load_newsletters();
        if (!state_.newsletters_changed) cache_.keep(newsletters_version_, state_.newsletters);
    }
    return state_.newsletters;
}

std::shared_ptr<const Newsletters> Records::load_newsletters() {
    std::vector<Newsletter> list;
    auto row = db_.query("SELECT id, slug, open FROM newsletter ORDER BY id");
    while (row.step()) {
        Newsletter& n = list.emplace_back();
        n.id = row.integer(0);
        n.slug = row.text(1);
        n.open = row.flag(2);
        auto alias = db_.query("SELECT slug FROM newsletter_alias WHERE newsletter = ?1 ORDER BY id", n.id);
        while (alias.step()) n.aliases.push_back(alias.string(0));
        auto setting =
            db_.query("SELECT key, locale, value FROM newsletter_setting WHERE newsletter = ?1", n.id);
        while (setting.step()) n.settings[{setting.string(0), setting.string(1)}] = setting.text(2);
    }
    return std::make_shared<const Newsletters>(std::move(list));
}

void Records::add(const Newsletter& n) {
    if (newsletters()->find(n.slug)) throw std::logic_error("the slug is taken");
    db_.run("INSERT INTO newsletter (id, slug, open) VALUES (?1, ?2, ?3)", n.id, n.slug, n.open);
    write_names(n);
}

void Records::update(const Newsletter& n) {
    for (const Newsletter& other : newsletters()->all()) {
        if (other.id != n.id &&
            (other.slug == n.slug || std::count(other.aliases.begin(), other.aliases.end(), n.slug) != 0)) {
            throw std::logic_error("the slug is taken");
        }
    }
    db_.run("UPDATE newsletter SET slug = ?2, open = ?3 WHERE id = ?1", n.id, n.slug, n.open);
    must_have_changed("newsletter");
    db_.run("DELETE FROM newsletter_alias WHERE newsletter = ?1", n.id);
    db_.run("DELETE FROM newsletter_setting WHERE newsletter = ?1", n.id);
    write_names(n);
}

void Records::write_names(const Newsletter& n) {
    for (const auto& alias : n.aliases) {
        db_.run("INSERT INTO newsletter_alias (newsletter, slug) VALUES (?1, ?2)", n.id, alias);
    }
    for (const auto& [name, value] : n.settings) {
        db_.run("INSERT INTO newsletter_setting (newsletter, key, locale, value) VALUES (?1, ?2, ?3, ?4)",
                n.id, name.first, name.second, value);
    }
    state_.newsletters_changed = true;
    state_.newsletters.reset();
}

std::optional<Wording> Records::wording(std::string_view id) {
    auto row = db_.query("SELECT newsletter, locale, text, privacy_url FROM wording WHERE id = ?1", id);
    if (!row.step()) return std::nullopt;
    return Wording{std::string(id), row.integer(0), row.string(1), row.string(2), row.string(3)};
}

void Records::keep(const Wording& w) {
    db_.run(
        "INSERT INTO wording (id, newsletter, locale, text, privacy_url) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT DO NOTHING",
        w.id, w.newsletter, w.locale, w.text, w.privacy_url);
}

// --- people --------------------------------------------------------------------------------------

std::optional<Person> Records::person(Id id) {
    static const std::string sql = "SELECT " + person_columns + " FROM person WHERE id = ?1";
    return first(db_.query(sql.c_str(), id), read_person);
}

std::optional<Person> Records::person_by_key(std::string_view key) {
    static const std::string sql = "SELECT " + person_columns + " FROM person WHERE addr_key = ?1";
    return first(db_.query(sql.c_str(), key), read_person);
}

void Records::add(const Person& p) {
    static const std::string sql =
        "INSERT INTO person (" + person_columns + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    db_.run(sql.c_str(), p.id, p.addr_key, unless_same(p.abuse_key, p.addr_key),
            unless_same(p.address, p.addr_key), unless_same(p.envelope, p.addr_key), p.needs_smtputf8, p.name,
            p.locale, p.created_at, p.proven_at, p.generation);
    adopt_budget(p.id, p.addr_key);
}

void Records::update(const Person& p) {
    db_.run(
        "UPDATE subscription SET changed_at = ?5 WHERE person = ?1 AND EXISTS (SELECT 1 FROM person WHERE id "
        "= ?1 AND (name <> ?2 OR locale <> ?3 OR ifnull(address, addr_key) <> ?4))",
        p.id, p.name, p.locale, p.address, clock_now());
    // Apart from addr_key, whose index would be written even if the key stays as it is.
    db_.run(
        "UPDATE person SET abuse_key = ?2, address = ?3, envelope = ?4, needs_smtputf8 = ?5, name = ?6, "
        "locale = ?7, created_at = ?8, proven_at = ?9, generation = ?10 WHERE id = ?1",
        p.id, unless_same(p.abuse_key, p.addr_key), unless_same(p.address, p.addr_key),
        unless_same(p.envelope, p.addr_key), p.needs_smtputf8, p.name, p.locale, p.created_at, p.proven_at,
        p.generation);
    must_have_changed("person");
    db_.run("UPDATE person SET addr_key = ?2, budget = NULL WHERE id = ?1 AND addr_key <> ?2", p.id,
            p.addr_key);
    if (db_.changes() > 0) adopt_budget(p.id, p.addr_key);
}

void Records::erase_person(Id id) {
    erased_ = true;
    state_.newest.reset();
    db_.run(
        "DELETE FROM wrong_code WHERE letter IN (SELECT id FROM letter WHERE person = ?1 UNION ALL SELECT "
        "-id "
        "FROM request WHERE person = ?1)",
        id);
    db_.run("DELETE FROM address_change WHERE person = ?1", id);
    db_.run("DELETE FROM bounce_score WHERE person = ?1", id);
    db_.run("DELETE FROM request WHERE person = ?1", id);
    db_.run("DELETE FROM import_entry WHERE person = ?1", id);
    db_.run("DELETE FROM letter WHERE person = ?1", id);
    db_.run("DELETE FROM subscription WHERE person = ?1", id);
    db_.run(
        "DELETE FROM budget WHERE abuse_key = (SELECT coalesce(abuse_key, addr_key) FROM person WHERE id = "
        "?1)",
        id);
    db_.run("DELETE FROM person WHERE id = ?1", id);
    db_.run(
        "UPDATE ledger SET identity_nonce = NULL, identity = NULL, evidence_nonce = NULL, evidence = NULL "
        "WHERE person = ?1",
        id);
}

std::optional<Subscription> Records::subscription(Id id) {
    static const std::string sql = "SELECT " + subscription_columns + " FROM subscription WHERE id = ?1";
    return first(db_.query(sql.c_str(), id), read_subscription);
}

std::vector<Subscription> Records::subscriptions_of(Id person) {
    static const std::string sql =
        "SELECT " + subscription_columns + " FROM subscription WHERE person = ?1 ORDER BY id";
    return all(db_.query(sql.c_str(), person), read_subscription);
}

void Records::add(const Subscription& s) {
    static const std::string sql = "INSERT INTO subscription (" + subscription_columns +
                                   ", changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    db_.run(sql.c_str(), s.id, s.person, s.newsletter, number(s.status), s.signed_up_at, s.confirmed_at,
            s.unsubscribed_at, s.paused_until, s.source, s.form, s.fields, clock_now());
}

void Records::remove(const Subscription& s) {
    db_.run("DELETE FROM subscription WHERE id = ?1", s.id);
}

void Records::update(const Subscription& s) {
    db_.run(
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
    return all(db_.query(sql.c_str(), now, number(limit)), read_subscription);
}

// --- changes of address --------------------------------------------------------------------------

std::optional<AddressChange> Records::address_change(Id id) {
    static const std::string sql = "SELECT " + change_columns + " FROM address_change WHERE id = ?1";
    return first(db_.query(sql.c_str(), id), read_change);
}

std::vector<AddressChange> Records::address_changes_of(Id person) {
    static const std::string sql =
        "SELECT " + change_columns + " FROM address_change WHERE person = ?1 ORDER BY id";
    return all(db_.query(sql.c_str(), person), read_change);
}

void Records::add(const AddressChange& c) {
    static const std::string sql = "INSERT INTO address_change (" + change_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                   "?15, ?16, ?17, ?18, ?19)";
    db_.run(sql.c_str(), c.id, c.person, c.asked_at, c.done_at, c.ended_at, c.from.addr_key, c.from.abuse_key,
            c.from.address, c.from.envelope, c.from.needs_smtputf8, c.from.letter, c.from.confirmed_at,
            c.to.addr_key, c.to.abuse_key, c.to.address, c.to.envelope, c.to.needs_smtputf8, c.to.letter,
            c.to.confirmed_at);
}

void Records::update(const AddressChange& c) {
    db_.run(
        "UPDATE address_change SET done_at = ?2, ended_at = ?3, from_letter = ?4, from_confirmed_at = ?5, "
        "to_letter = ?6, to_confirmed_at = ?7 WHERE id = ?1",
        c.id, c.done_at, c.ended_at, c.from.letter, c.from.confirmed_at, c.to.letter, c.to.confirmed_at);
    must_have_changed("change of address");
}

// --- requests ------------------------------------------------------------------------------------

std::vector<Request> Records::requests_of(Id person) {
    static const std::string sql =
        "SELECT " + request_columns + " FROM request WHERE person = ?1 ORDER BY id";
    return all(db_.query(sql.c_str(), person), read_request);
}

std::vector<Request> Records::waiting_requests(TimeMs asked_before, std::size_t limit) {
    static const std::string sql =
        "SELECT " + request_columns +
        " FROM request WHERE letter IS NULL AND state = 0 AND asked_at < ?1 ORDER BY asked_at, id LIMIT ?2";
    return all(db_.query(sql.c_str(), asked_before, number(limit)), read_request);
}

void Records::add(const Request& r) {
    static const std::string sql =
        "INSERT INTO request (" + request_columns +
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    db_.run(sql.c_str(), r.id, r.person, number(r.state), r.asked_at, write_wishes(scratch_, r.wishes),
            r.locale, r.name, r.fields, r.source, r.form, r.ip, r.user_agent, r.network, r.browser, r.letter);
}

void Records::update(const Request& r) {
    db_.run("UPDATE request SET state = ?3, letter = ?4 WHERE person = ?1 AND id = ?2", r.person, r.id,
            number(r.state), r.letter);
    must_have_changed("request");
}

// --- the outbox ----------------------------------------------------------------------------------

std::optional<Letter> Records::letter(Id id) {
    static const std::string sql = "SELECT " + letter_columns + " FROM letter WHERE id = ?1";
    return first(db_.query(sql.c_str(), id), read_letter);
}

std::vector<Letter> Records::letters_of(Id person) {
    static const std::string sql = "SELECT " + letter_columns + " FROM letter WHERE person = ?1 ORDER BY id";
    return all(db_.query(sql.c_str(), person), read_letter);
}

std::optional<Letter> Records::open_letter(Id person, LetterKind kind) {
    static const std::string sql = "SELECT " + letter_columns +
                                   " FROM letter WHERE person = ?1 AND kind = ?2 AND (state = 0 OR state = 1 "
                                   "OR state = 3 OR state = 5) ORDER BY id LIMIT 1";
    return first(db_.query(sql.c_str(), person, number(kind)), read_letter);
}

namespace {

// Letters that wait stand in three indexes, one for each service::rank(), so that a signup writes to one of
// them. A query has to say which it means.
constexpr std::array due_by_rank{"(state = 0 OR state = 3 OR state = 5) AND kind = 0",
                                 "(state = 0 OR state = 3 OR state = 5) AND kind > 0 AND kind < 4",
                                 "(state = 0 OR state = 3 OR state = 5) AND kind >= 4"};

using EachRank = std::array<std::string, due_by_rank.size()>;

}  // namespace

std::vector<Letter> Records::due_letters(TimeMs now, std::size_t limit) {
    const auto part = [](const char* which) {
        return "SELECT " + letter_columns + " FROM letter WHERE " + which +
               " AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
    };
    static const EachRank queries{part(due_by_rank[0]), part(due_by_rank[1]), part(due_by_rank[2])};
    std::vector<Letter> due;
    for (const std::string& sql : queries) {
        if (due.size() == limit) break;
        for (Letter& letter : all(db_.query(sql.c_str(), now, number(limit - due.size())), read_letter))
            due.push_back(std::move(letter));
    }
    return due;
}

std::vector<Letter> Records::leased_letters() {
    static const std::string sql = "SELECT " + letter_columns + " FROM letter WHERE state = 1 ORDER BY id";
    return all(db_.query(sql.c_str()), read_letter);
}

OutboxCounts Records::outbox(TimeMs now) {
    const auto part = [](const char* which) {
        return std::string(
                   "SELECT count(*) FILTER (WHERE due_at <= ?1), min(due_at), count(*) FROM letter WHERE ") +
               which;
    };
    static const EachRank queries{part(due_by_rank[0]), part(due_by_rank[1]), part(due_by_rank[2])};
    OutboxCounts counts;
    for (const std::string& sql : queries) {
        auto row = db_.query(sql.c_str(), now);
        if (!row.step()) continue;
        counts.due += row.integer(0);
        counts.waiting += row.integer(2);
        const auto oldest = row.optional(1);
        if (oldest && *oldest <= now)
            counts.oldest_due = std::min(counts.oldest_due.value_or(*oldest), *oldest);
    }
    auto leased = db_.query("SELECT count(*) FROM letter WHERE state = 1");
    if (leased.step()) counts.waiting += leased.integer(0);
    return counts;
}

void Records::add(const Letter& l) {
    static const std::string sql = "INSERT INTO letter (" + letter_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                   "?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)";
    db_.run(sql.c_str(), l.id, l.person, number(l.kind), number(l.state), l.locale, l.created_at, l.due_at,
            l.first_leased_at, l.leased_at, l.sent_at, l.expires_at, l.leased_by, l.attempts, l.uncertain,
            l.message_id, l.key_id, write_ids(scratch_, l.newsletters), l.network, l.budgeted,
            l.mailbox_unknown, l.reply, l.change, l.suspect);
}

void Records::update(const Letter& l) {
    db_.run(
        "UPDATE letter SET state = ?2, locale = ?3, due_at = ?4, first_leased_at = ?5, leased_at = ?6, "
        "sent_at = ?7, expires_at = ?8, leased_by = ?9, attempts = ?10, uncertain = ?11, key_id = ?12, "
        "newsletters = ?13, network = ?14, budgeted = ?15, mailbox_unknown = ?16, reply = ?17, "
        "suspect = ?18 WHERE id = ?1",
        l.id, number(l.state), l.locale, l.due_at, l.first_leased_at, l.leased_at, l.sent_at, l.expires_at,
        l.leased_by, l.attempts, l.uncertain, l.key_id, write_ids(scratch_, l.newsletters), l.network,
        l.budgeted, l.mailbox_unknown, l.reply, l.suspect);
    must_have_changed("letter");
}

MailerNote Records::mailer_note() {
    auto row = db_.query(
        "SELECT last_run_at, usual_delay, delivered, later, refused, uncertain, relay_trouble, trouble_since "
        "FROM mailer_note");
    if (!row.step()) return {};
    return {row.integer(0), row.integer(1), row.integer(2),           row.integer(3),
            row.integer(4), row.integer(5), std::string(row.text(6)), row.integer(7)};
}

void Records::note_mailer(const MailerNote& note) {
    db_.run(
        "UPDATE mailer_note SET last_run_at = ?1, usual_delay = ?2, delivered = ?3, later = ?4, refused = "
        "?5, "
        "uncertain = ?6, relay_trouble = ?7, trouble_since = ?8",
        note.last_run_at, note.usual_delay, note.delivered, note.later, note.refused, note.uncertain,
        note.relay_trouble, note.trouble_since);
}

std::optional<ProxyNote> Records::proxy_note() {
    auto row = db_.query("SELECT network, at FROM proxy_note");
    if (!row.step()) return std::nullopt;
    return ProxyNote{row.string(0), row.integer(1)};
}

void Records::note_proxy(const std::optional<ProxyNote>& note) {
    db_.run("DELETE FROM proxy_note");
    if (note)
        db_.run("INSERT INTO proxy_note (one, network, at) VALUES (1, ?1, ?2)", note->network, note->at);
}

int Records::wrong_codes(Id letter) {
    auto row = db_.query("SELECT wrong FROM wrong_code WHERE letter = ?1", letter);
    return row.step() ? row.small(0) : 0;
}

void Records::set_wrong_codes(Id letter, int wrong) {
    db_.run(
        "INSERT INTO wrong_code (letter, wrong) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET wrong = "
        "excluded.wrong",
        letter, wrong);
}

BounceScore Records::bounce_score(Id person) {
    auto row = db_.query("SELECT points, scored_at, struck_at FROM bounce_score WHERE person = ?1", person);
    return row.step() ? BounceScore{person, row.small(0), row.integer(1), row.integer(2)}
                      : BounceScore{person, 0, 0, 0};
}

void Records::set_bounce_score(const BounceScore& score) {
    db_.run(
        "INSERT INTO bounce_score (person, points, scored_at, struck_at) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT DO UPDATE SET points = excluded.points, scored_at = excluded.scored_at, "
        "struck_at = excluded.struck_at",
        score.person, score.points, score.scored_at, score.struck_at);
}

// --- suppressions and budget ---------------------------------------------------------------------

std::vector<Suppression> Records::suppressions(const Digest& key) {
    std::vector<Suppression> found;
    // Not ORDER BY at: it makes a sorter each time, and hardly anybody is suppressed.
    auto row = db_.query("SELECT key_id, reason, at FROM suppression WHERE key = ?1 ORDER BY reason", key);
    while (row.step()) {
        found.push_back({key, row.small(0), static_cast<SuppressionReason>(row.small(1)), row.integer(2)});
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Suppression& a, const Suppression& b) { return a.at < b.at; });
    return found;
}

void Records::add(const Suppression& s) {
    db_.run(
        "INSERT INTO suppression (key, reason, key_id, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        s.key, number(s.reason), s.key_id, s.at);
}

void Records::remove(const Suppression& s) {
    db_.run("DELETE FROM suppression WHERE key = ?1 AND reason = ?2", s.key, number(s.reason));
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
        auto hers = db_.query("SELECT budget FROM person WHERE addr_key = ?1", abuse_key);
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
        give_budget(state_.newest->id, bytes);
        state_.newest->budget = std::move(bytes);
        return;
    }
    if (entries.empty()) {
        db_.run("UPDATE person SET budget = NULL WHERE addr_key = ?1 AND budget IS NOT NULL", abuse_key);
        db_.run("DELETE FROM budget WHERE abuse_key = ?1", abuse_key);
        return;
    }
    if (is_address(abuse_key)) {
        db_.run("UPDATE person SET budget = ?2 WHERE addr_key = ?1", abuse_key, bytes);
        if (db_.changes() > 0) return;
    }
    db_.run(
        "INSERT INTO budget (abuse_key, entries) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET entries = "
        "excluded.entries",
        abuse_key, bytes);
}

void Records::give_budget(Id person, const std::vector<std::uint8_t>& bytes) {
    const std::optional<std::span<const std::uint8_t>> some =
        bytes.empty() ? std::nullopt : std::optional(std::span(bytes));
    db_.run("UPDATE person SET budget = ?2 WHERE id = ?1", person, some);
}

// Somebody has this address now: what was counted under it is hers.
void Records::adopt_budget(Id person, const std::string& addr_key) {
    state_.newest = State::Newest{person, addr_key, {}};
    std::vector<std::uint8_t>& hers = state_.newest->budget;
    {
        auto row = db_.query("SELECT entries FROM budget WHERE abuse_key = ?1", addr_key);
        if (!row.step()) return;
        const auto bytes = row.blob(0);
        hers.assign(bytes.begin(), bytes.end());
    }
    give_budget(person, hers);
    db_.run("DELETE FROM budget WHERE abuse_key = ?1", addr_key);
}

// --- the ledger ----------------------------------------------------------------------------------

LedgerHead Records::ledger_head() {
    if (!state_.head) {
        auto row = db_.query("SELECT seq, hash, key_id, seal FROM ledger_head");
        if (!row.step()) throw StorageError("the database has lost the head of its ledger");
        state_.head = LedgerHead{row.integer(0), row.bytes<32>(1), row.small(2), row.bytes<32>(3)};
    }
    return *state_.head;
}

void Records::append(const Event& e, const LedgerHead& head) {
    const LedgerHead before = ledger_head();
    if (e.seq != before.seq + 1 || e.previous != before.hash || head.seq != e.seq || head.hash != e.hash) {
        throw std::logic_error("an event that does not follow the ledger's head");
    }
    using Text = std::optional<std::string_view>;
    const Text identity = e.identity_nonce ? Text(e.identity) : std::nullopt;
    const Text evidence = e.evidence_nonce ? Text(e.evidence) : std::nullopt;
    static const std::string sql = "INSERT INTO ledger (" + event_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    db_.run(sql.c_str(), e.seq, e.at, number(e.kind), e.person, e.details, e.identity_commitment,
            e.evidence_commitment, e.previous, e.hash, e.identity_nonce, identity, e.evidence_nonce,
            evidence);
    state_.head = head;
    state_.head_changed = true;
}

std::vector<Event> Records::events(std::int64_t after_seq, std::size_t limit) {
    static const std::string sql =
        "SELECT " + event_columns + " FROM ledger WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    return all(db_.query(sql.c_str(), after_seq, number(limit)), read_event);
}

std::vector<Event> Records::events_of(Id person) {
    static const std::string sql = "SELECT " + event_columns + " FROM ledger WHERE person = ?1 ORDER BY seq";
    return all(db_.query(sql.c_str(), person), read_event);
}

void Records::journal_withdrawal(std::string_view line) {
    journal_->open();  // if that can't be, it is this unit that fails
    withdrawals_ += line;
    withdrawals_ += '\n';
}

// --- the admin's desk -----------------------------------------------------------------------------

std::vector<Letter> Records::open_letters(TimeMs due_after, Id after, std::size_t limit) {
    const auto part = [](const char* which) {
        return "SELECT " + letter_columns + " FROM letter WHERE " + which +
               " AND due_at >= ?1 AND (due_at > ?1 OR id > ?2)";
    };
    static const std::string sql = part(due_by_rank[0]) + " UNION ALL " + part(due_by_rank[1]) +
                                   " UNION ALL " + part(due_by_rank[2]) + " ORDER BY due_at, id LIMIT ?3";
    return all(db_.query(sql.c_str(), due_after, after, number(limit)), read_letter);
}

std::vector<MailPause> Records::mail_pauses() {
    std::vector<MailPause> pauses;
    auto row = db_.query("SELECT scope, name, since FROM mail_pause ORDER BY scope, name");
    while (row.step()) {
        pauses.push_back({static_cast<MailPause::Scope>(row.small(0)), row.string(1), row.integer(2)});
    }
    return pauses;
}

void Records::add(const MailPause& p) {
    db_.run("INSERT INTO mail_pause (scope, name, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            number(p.scope), p.name, p.since);
}

void Records::remove(const MailPause& p) {
    db_.run("DELETE FROM mail_pause WHERE scope = ?1 AND name = ?2", number(p.scope), p.name);
}

std::vector<Person> Records::people(Id after, std::size_t limit) {
    static const std::string sql =
        "SELECT " + person_columns + " FROM person WHERE id > ?1 ORDER BY id LIMIT ?2";
    return all(db_.query(sql.c_str(), after, number(limit)), read_person);
}

std::vector<Id> Records::unproven_people(TimeMs created_before, Id after, std::size_t limit) {
    return all<Id>(
        db_.query("SELECT id FROM person p WHERE id > ?2 AND proven_at IS NULL AND created_at < ?1 "
                  "AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.person = p.id AND s.status "
                  "NOT IN (0, 4)) ORDER BY id LIMIT ?3",
                  created_before, after, number(limit)),
        read_id);
}

std::vector<Suppression> Records::all_suppressions(const Suppression* after, std::size_t limit) {
    static constexpr Digest none{};
    std::vector<Suppression> found;
    auto row = db_.query(
        "SELECT key, key_id, reason, at FROM suppression WHERE (key, reason) > (?1, ?2) ORDER BY key, reason "
        "LIMIT ?3",
        after ? after->key : none, after ? number(after->reason) : -1, number(limit));
    while (row.step()) {
        found.push_back(
            {row.bytes<32>(0), row.small(1), static_cast<SuppressionReason>(row.small(2)), row.integer(3)});
    }
    return found;
}

std::vector<std::int64_t> Records::events_with_evidence(TimeMs before, std::int64_t after_seq,
                                                        std::size_t limit) {
    return all<Id>(
        db_.query("SELECT seq FROM ledger WHERE seq > ?2 AND at < ?1 AND evidence_nonce IS NOT NULL "
                  "ORDER BY seq LIMIT ?3",
                  before, after_seq, number(limit)),
        read_id);
}

void Records::forget_evidence(std::int64_t event) {
    db_.run("UPDATE ledger SET evidence_nonce = NULL, evidence = NULL WHERE seq = ?1", event);
}

std::vector<Request> Records::requests_with_evidence(TimeMs asked_before, Id after_person, Id after_id,
                                                     std::size_t limit) {
    static const std::string sql = "SELECT " + request_columns +
                                   " FROM request WHERE (person, id) > (?2, ?3) AND asked_at < ?1 AND (ip <> "
                                   "network OR user_agent <> '' "
                                   "OR browser <> '') ORDER BY person, id LIMIT ?4";
    return all(db_.query(sql.c_str(), asked_before, after_person, after_id, number(limit)), read_request);
}

void Records::forget_evidence(const Request& r) {
    db_.run("UPDATE request SET ip = network, user_agent = '', browser = '' WHERE person = ?1 AND id = ?2",
            r.person, r.id);
}

std::vector<Id> Records::finished_letters(TimeMs created_before, Id after, std::size_t limit) {
    return all<Id>(
        db_.query("SELECT id FROM letter WHERE id > ?2 AND created_at < ?1 AND state IN (2, 4, 6, 7) "
                  "ORDER BY id LIMIT ?3",
                  created_before, after, number(limit)),
        read_id);
}

void Records::remove_letter(Id id) {
    db_.run("DELETE FROM letter WHERE id = ?1", id);
}

std::vector<std::string> Records::budget_keys(std::string_view after, std::size_t limit) {
    std::vector<std::string> keys;
    auto row = db_.query("SELECT abuse_key FROM budget WHERE abuse_key > ?1 ORDER BY abuse_key LIMIT ?2",
                         after, number(limit));
    while (row.step()) keys.push_back(row.string(0));
    return keys;
}

Id Records::last_letter_before(TimeMs created_before) {
    auto row =
        db_.query("SELECT id FROM letter WHERE created_at < ?1 ORDER BY id DESC LIMIT 1", created_before);
    return row.step() ? row.integer(0) : 0;
}

std::size_t Records::remove_wrong_codes(Id until) {
    db_.run("DELETE FROM wrong_code WHERE letter BETWEEN -?1 AND ?1", until);
    return static_cast<std::size_t>(db_.changes());
}

std::vector<AdminAct> Records::admin_acts(Id before, std::size_t limit) {
    std::vector<AdminAct> acts;
    auto row = db_.query(
        "SELECT id, at, who, what, details FROM admin_act WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2",
        before, number(limit));
    while (row.step()) {
        acts.push_back({row.integer(0), row.integer(1), row.string(2), row.string(3), row.string(4)});
    }
    return acts;
}

void Records::add(const AdminAct& a) {
    db_.run("INSERT INTO admin_act (id, at, who, what, details) VALUES (?1, ?2, ?3, ?4, ?5)", a.id, a.at,
            a.who, a.what, a.details);
}

namespace {

const std::string token_columns =
    "id, name, digest, scopes, networks, created_at, expires_at, revoked_at, last_used_at";

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const auto end = std::min(text.find(' '), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

AdminToken read_token(const Query& row) {
    AdminToken token;
    token.id = row.integer(0);
    token.name = row.text(1);
    token.digest = row.bytes<32>(2);
    for (const std::string& text : words_of(row.text(3))) {
        const auto scope = parse_scope(text);
        if (!scope) throw StorageError("the database has a scope that this program does not know: " + text);
        token.scopes.push_back(*scope);
    }
    token.networks = words_of(row.text(4));
    token.created_at = row.integer(5);
    token.expires_at = row.optional(6);
    token.revoked_at = row.optional(7);
    token.last_used_at = row.optional(8);
    return token;
}

}  // namespace

std::vector<AdminToken> Records::admin_tokens() {
    static const std::string sql = "SELECT " + token_columns + " FROM admin_token ORDER BY id";
    return all(db_.query(sql.c_str()), read_token);
}

std::optional<AdminToken> Records::admin_token(const Digest& digest) {
    static const std::string sql = "SELECT " + token_columns + " FROM admin_token WHERE digest = ?1";
    return first(db_.query(sql.c_str(), digest), read_token);
}

void Records::add(const AdminToken& token) {
    std::string scopes, networks;
    for (const TokenScope scope : token.scopes) scopes.append(scopes.empty() ? "" : " ").append(word(scope));
    for (const std::string& network : token.networks)
        networks.append(networks.empty() ? "" : " ").append(network);
    db_.run(
        "INSERT INTO admin_token (id, name, digest, scopes, networks, created_at, expires_at, revoked_at, "
        "last_used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        token.id, token.name, token.digest, scopes, networks, token.created_at, token.expires_at,
        token.revoked_at, token.last_used_at);
}

void Records::update(const AdminToken& token) {
    db_.run("UPDATE admin_token SET revoked_at = ?2, last_used_at = ?3 WHERE id = ?1", token.id,
            token.revoked_at, token.last_used_at);
}

// --- imports -------------------------------------------------------------------------------------

std::optional<ImportBatch> Records::import_batch(Id id) {
    static const std::string sql = "SELECT " + batch_columns + " FROM import_batch WHERE id = ?1";
    return first(db_.query(sql.c_str(), id), read_batch);
}

std::vector<ImportBatch> Records::import_batches() {
    static const std::string sql = "SELECT " + batch_columns + " FROM import_batch ORDER BY id";
    return all(db_.query(sql.c_str()), read_batch);
}

std::vector<ImportEntry> Records::import_entries(Id batch, std::size_t limit) {
    return all(db_.query("SELECT batch, row, person, changes FROM import_entry WHERE batch = ?1 "
                         "ORDER BY row DESC LIMIT ?2",
                         batch, number(limit)),
               read_entry);
}

std::vector<ImportEntry> Records::import_entries_of(Id person) {
    return all(db_.query("SELECT batch, row, person, changes FROM import_entry WHERE person = ?1 "
                         "ORDER BY batch, row",
                         person),
               read_entry);
}

void Records::add(const ImportBatch& b) {
    static const std::string sql = "INSERT INTO import_batch (" + batch_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                   "?15, ?16)";
    db_.run(sql.c_str(), b.id, b.name, b.digest, number(b.state), b.format, b.basis, b.started_at,
            b.changed_at, b.position, b.imported, b.merged, b.unchanged, b.refused, b.restored, b.kept,
            write_counts(scratch_, b.whys));
}

void Records::update(const ImportBatch& b) {
    db_.run(
        "UPDATE import_batch SET state = ?2, changed_at = ?3, position = ?4, imported = ?5, merged = ?6, "
        "unchanged = ?7, refused = ?8, restored = ?9, kept = ?10, whys = ?11 WHERE id = ?1",
        b.id, number(b.state), b.changed_at, b.position, b.imported, b.merged, b.unchanged, b.refused,
        b.restored, b.kept, write_counts(scratch_, b.whys));
    must_have_changed("batch of an import");
}

void Records::add(const ImportEntry& e) {
    db_.run("INSERT INTO import_entry (batch, row, person, changes) VALUES (?1, ?2, ?3, ?4)", e.batch, e.row,
            e.person, e.changes);
}

void Records::update(const ImportEntry& e) {
    db_.run("UPDATE import_entry SET changes = ?3 WHERE batch = ?1 AND row = ?2", e.batch, e.row, e.changes);
    must_have_changed("row of an import");
}

void Records::remove(const ImportEntry& e) {
    db_.run("DELETE FROM import_entry WHERE batch = ?1 AND row = ?2", e.batch, e.row);
}

std::size_t Records::forget_import_entries(Id batch, std::size_t limit) {
    db_.run(
        "DELETE FROM import_entry WHERE batch = ?1 AND row IN (SELECT row FROM import_entry WHERE batch = ?1 "
        "ORDER BY row LIMIT ?2)",
        batch, number(limit));
    return static_cast<std::size_t>(db_.changes());
}

// --- export --------------------------------------------------------------------------------------

std::size_t Records::export_rows(const ExportFilter& filter, Id after, std::size_t limit,
                                 const std::function<void(const ExportRow&)>& hand_over) {
    const auto lists = newsletters();
    // CROSS JOIN: the rows come in the order of their ids, without sorting, whatever the filter.
    static const std::string sql =
        "SELECT s.id, s.newsletter, s.status, s.signed_up_at, s.confirmed_at, s.unsubscribed_at, s.source, "
        "s.form, s.fields, ifnull(p.address, p.addr_key), p.name, p.locale FROM subscription s CROSS JOIN "
        "person p ON p.id = s.person WHERE s.id > ?5 AND " +
        export_filter + " ORDER BY s.id LIMIT ?6";
    auto row = db_.query(sql.c_str(), filter.newsletter, status_number(filter), filter.changed_since,
                         filter.locale, after, number(limit));
    std::size_t count = 0;
    for (; row.step(); ++count) {
        ExportRow out;
        out.subscription = row.integer(0);
        if (const Newsletter* newsletter = lists->find(row.integer(1))) out.newsletter = newsletter->slug;
        out.status = static_cast<SubscriptionStatus>(row.small(2));
        out.signed_up_at = row.integer(3);
        out.confirmed_at = row.optional(4);
        out.unsubscribed_at = row.optional(5);
        out.source = row.text(6);
        out.form = row.text(7);
        out.fields = row.text(8);
        out.email = row.text(9);
        out.name = row.text(10);
        out.locale = row.text(11);
        hand_over(out);
    }
    return count;
}

std::int64_t Records::count_export_rows(const ExportFilter& filter) {
    static const std::string sql =
        "SELECT count(*) FROM subscription s CROSS JOIN person p ON p.id = s.person WHERE " + export_filter;
    auto row =
        db_.query(sql.c_str(), filter.newsletter, status_number(filter), filter.changed_since, filter.locale);
    return row.step() ? row.integer(0) : 0;
}

}  // namespace zgoda::storage
