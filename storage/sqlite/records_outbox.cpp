#include "storage/sqlite/records.h"

#include <algorithm>
#include <array>

#include "storage/sqlite/rows.h"

namespace zgoda::storage {

using namespace service;

namespace {

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

// Letters that are not through stand in one index, by service::rank(), and those that a mailer holds behind
// them. A query uses it if it says which in the same words.
std::string open_with_rank(int rank) {
    return "(state = 0 OR state = 1 OR state = 3 OR state = 5) AND "
           "CASE state WHEN 1 THEN 3 ELSE (kind > 0) + (kind >= 4) END = " +
           std::to_string(rank);
}
constexpr int rank_of_leased = 3;

// One query for each rank of letters that wait.
using EachRank = std::array<std::string, rank_of_leased>;

template <class Part>
EachRank each_rank(Part part) {
    return {part(open_with_rank(0)), part(open_with_rank(1)), part(open_with_rank(2))};
}

}  // namespace

// --- letters --------------------------------------------------------------------------------------------

std::optional<Letter> Records::letter(Id id) {
    static const std::string sql = "SELECT " + letter_columns + " FROM letter WHERE id = ?1";
    return first(db().query(sql.c_str(), id), read_letter);
}

std::vector<Letter> Records::letters_of(Id person) {
    static const std::string sql = "SELECT " + letter_columns + " FROM letter WHERE person = ?1 ORDER BY id";
    return all(db().query(sql.c_str(), person), read_letter);
}

std::optional<Letter> Records::open_letter(Id person, LetterKind kind) {
    static const std::string sql = "SELECT " + letter_columns +
                                   " FROM letter WHERE person = ?1 AND kind = ?2 AND (state = 0 OR state = 1 "
                                   "OR state = 3 OR state = 5) ORDER BY id LIMIT 1";
    return first(db().query(sql.c_str(), person, number(kind)), read_letter);
}

std::vector<Letter> Records::due_letters(TimeMs now, std::size_t limit) {
    static const EachRank queries = each_rank([](const std::string& which) {
        return "SELECT " + letter_columns + " FROM letter WHERE " + which +
               " AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2";
    });
    std::vector<Letter> due;
    for (const std::string& sql : queries) {
        if (due.size() == limit) break;
        for (Letter& letter : all(db().query(sql.c_str(), now, number(limit - due.size())), read_letter))
            due.push_back(std::move(letter));
    }
    return due;
}

std::vector<Letter> Records::leased_letters() {
    static const std::string sql =
        "SELECT " + letter_columns + " FROM letter WHERE " + open_with_rank(rank_of_leased) + " ORDER BY id";
    return all(db().query(sql.c_str()), read_letter);
}

OutboxCounts Records::outbox(TimeMs now) {
    static const EachRank queries = each_rank([](const std::string& which) {
        return "SELECT count(*) FILTER (WHERE due_at <= ?1), min(due_at), count(*) FROM letter WHERE " +
               which;
    });
    OutboxCounts counts;
    for (const std::string& sql : queries) {
        auto row = db().query(sql.c_str(), now);
        if (!row.step()) continue;
        counts.due += row.integer(0);
        counts.waiting += row.integer(2);
        const auto oldest = row.optional(1);
        if (oldest && *oldest <= now)
            counts.oldest_due = std::min(counts.oldest_due.value_or(*oldest), *oldest);
    }
    static const std::string held = "SELECT count(*) FROM letter WHERE " + open_with_rank(rank_of_leased);
    auto leased = db().query(held.c_str());
    if (leased.step()) counts.waiting += leased.integer(0);
    return counts;
}

std::vector<Letter> Records::open_letters(TimeMs due_after, Id after, std::size_t limit) {
    static const EachRank parts = each_rank([](const std::string& which) {
        return "SELECT " + letter_columns + " FROM letter WHERE " + which +
               " AND due_at >= ?1 AND (due_at > ?1 OR id > ?2)";
    });
    static const std::string sql =
        parts[0] + " UNION ALL " + parts[1] + " UNION ALL " + parts[2] + " ORDER BY due_at, id LIMIT ?3";
    return all(db().query(sql.c_str(), due_after, after, number(limit)), read_letter);
}

void Records::add(const Letter& l) {
    // Every column that is bound costs, and a letter just made has nothing yet in half of them.
    db().run(
        "INSERT INTO letter (id, person, kind, state, locale, created_at, due_at, message_id, key_id, "
        "newsletters, network, budgeted, change, leased_by, attempts, uncertain, mailbox_unknown, reply) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, '', 0, 0, 0, '')",
        l.id, l.person, number(l.kind), number(l.state), l.locale, l.created_at, l.due_at, l.message_id,
        l.key_id, write_ids(scratch_, l.newsletters), l.network, l.budgeted, l.change);
    const bool tried = l.first_leased_at || l.leased_at || l.sent_at || l.expires_at ||
                       !l.leased_by.empty() || l.attempts != 0 || l.uncertain != 0 || l.mailbox_unknown ||
                       !l.reply.empty() || l.suspect;
    if (tried) update(l);
}

void Records::update(const Letter& l) {
    db().run(
        "UPDATE letter SET state = ?2, locale = ?3, due_at = ?4, first_leased_at = ?5, leased_at = ?6, "
        "sent_at = ?7, expires_at = ?8, leased_by = ?9, attempts = ?10, uncertain = ?11, key_id = ?12, "
        "newsletters = ?13, network = ?14, budgeted = ?15, mailbox_unknown = ?16, reply = ?17, "
        "suspect = ?18 WHERE id = ?1",
        l.id, number(l.state), l.locale, l.due_at, l.first_leased_at, l.leased_at, l.sent_at, l.expires_at,
        l.leased_by, l.attempts, l.uncertain, l.key_id, write_ids(scratch_, l.newsletters), l.network,
        l.budgeted, l.mailbox_unknown, l.reply, l.suspect);
    must_have_changed("letter");
}

std::vector<Id> Records::finished_letters(TimeMs created_before, Id after, std::size_t limit) {
    return all<Id>(
        db().query("SELECT id FROM letter WHERE id > ?2 AND created_at < ?1 AND state IN (2, 4, 6, 7) "
                   "ORDER BY id LIMIT ?3",
                   created_before, after, number(limit)),
        read_id);
}

void Records::remove_letter(Id id) {
    db().run("DELETE FROM letter WHERE id = ?1", id);
}

Id Records::last_letter_before(TimeMs created_before) {
    auto row =
        db().query("SELECT id FROM letter WHERE created_at < ?1 ORDER BY id DESC LIMIT 1", created_before);
    return row.step() ? row.integer(0) : 0;
}

// --- mailers --------------------------------------------------------------------------------------------

MailerNote Records::mailer_note() {
    auto row = db().query(
        "SELECT last_run_at, usual_delay, delivered, later, refused, uncertain, relay_trouble, trouble_since "
        "FROM mailer_note");
    if (!row.step()) return {};
    return {row.integer(0), row.integer(1), row.integer(2),           row.integer(3),
            row.integer(4), row.integer(5), std::string(row.text(6)), row.integer(7)};
}

void Records::note_mailer(const MailerNote& note) {
    db().run(
        "UPDATE mailer_note SET last_run_at = ?1, usual_delay = ?2, delivered = ?3, later = ?4, refused = "
        "?5, "
        "uncertain = ?6, relay_trouble = ?7, trouble_since = ?8",
        note.last_run_at, note.usual_delay, note.delivered, note.later, note.refused, note.uncertain,
        note.relay_trouble, note.trouble_since);
}

std::optional<ProxyNote> Records::proxy_note() {
    auto row = db().query("SELECT network, at FROM proxy_note");
    if (!row.step()) return std::nullopt;
    return ProxyNote{row.string(0), row.integer(1)};
}

void Records::note_proxy(const std::optional<ProxyNote>& note) {
    db().run("DELETE FROM proxy_note");
    if (note)
        db().run("INSERT INTO proxy_note (one, network, at) VALUES (1, ?1, ?2)", note->network, note->at);
}

std::vector<MailPause> Records::mail_pauses() {
    std::vector<MailPause> pauses;
    auto row = db().query("SELECT scope, name, since FROM mail_pause ORDER BY scope, name");
    while (row.step()) {
        pauses.push_back({static_cast<MailPause::Scope>(row.small(0)), row.string(1), row.integer(2)});
    }
    return pauses;
}

void Records::add(const MailPause& p) {
    db().run("INSERT INTO mail_pause (scope, name, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
             number(p.scope), p.name, p.since);
}

void Records::remove(const MailPause& p) {
    db().run("DELETE FROM mail_pause WHERE scope = ?1 AND name = ?2", number(p.scope), p.name);
}

// --- codes ----------------------------------------------------------------------------------------------

int Records::wrong_codes(Id letter) {
    auto row = db().query("SELECT wrong FROM wrong_code WHERE letter = ?1", letter);
    return row.step() ? row.small(0) : 0;
}

void Records::set_wrong_codes(Id letter, int wrong) {
    db().run(
        "INSERT INTO wrong_code (letter, wrong) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET wrong = "
        "excluded.wrong",
        letter, wrong);
}

std::size_t Records::remove_wrong_codes(Id until) {
    db().run("DELETE FROM wrong_code WHERE letter BETWEEN -?1 AND ?1", until);
    return static_cast<std::size_t>(db().changes());
}

}  // namespace zgoda::storage
