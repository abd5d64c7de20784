#include "storage/sqlite/records.h"

#include <algorithm>
#include <map>

#include "storage/sqlite/rows.h"

namespace zgoda::storage {

using namespace service;

namespace {

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

// ?1 newsletter, ?2 status, ?3 changed since, ?4 locale; NULL or '' does not filter.
const std::string export_filter =
    "(?1 IS NULL OR s.newsletter = ?1) AND (?2 IS NULL OR s.status = ?2) AND "
    "(?3 IS NULL OR s.changed_at >= ?3) AND "
    "(?4 = '' OR p.locale = ?4)";

std::optional<std::int64_t> status_number(const ExportFilter& filter) {
    if (!filter.status) return std::nullopt;
    return number(*filter.status);
}

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

// --- acts and tokens ------------------------------------------------------------------------------------

std::vector<AdminAct> Records::admin_acts(Id before, std::size_t limit) {
    std::vector<AdminAct> acts;
    auto row = db().query(
        "SELECT id, at, who, what, details FROM admin_act WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2",
        before, number(limit));
    while (row.step()) {
        acts.push_back({row.integer(0), row.integer(1), row.string(2), row.string(3), row.string(4)});
    }
    return acts;
}

void Records::add(const AdminAct& a) {
    db().run("INSERT INTO admin_act (id, at, who, what, details) VALUES (?1, ?2, ?3, ?4, ?5)", a.id, a.at,
             a.who, a.what, a.details);
}

std::vector<AdminToken> Records::admin_tokens() {
    static const std::string sql = "SELECT " + token_columns + " FROM admin_token ORDER BY id";
    return all(db().query(sql.c_str()), read_token);
}

std::optional<AdminToken> Records::admin_token(const Digest& digest) {
    static const std::string sql = "SELECT " + token_columns + " FROM admin_token WHERE digest = ?1";
    return first(db().query(sql.c_str(), digest), read_token);
}

void Records::add(const AdminToken& token) {
    std::string scopes, networks;
    for (const TokenScope scope : token.scopes) scopes.append(scopes.empty() ? "" : " ").append(word(scope));
    for (const std::string& network : token.networks)
        networks.append(networks.empty() ? "" : " ").append(network);
    db().run(
        "INSERT INTO admin_token (id, name, digest, scopes, networks, created_at, expires_at, revoked_at, "
        "last_used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        token.id, token.name, token.digest, scopes, networks, token.created_at, token.expires_at,
        token.revoked_at, token.last_used_at);
}

void Records::update(const AdminToken& token) {
    db().run("UPDATE admin_token SET revoked_at = ?2, last_used_at = ?3 WHERE id = ?1", token.id,
             token.revoked_at, token.last_used_at);
}

// --- imports --------------------------------------------------------------------------------------------

std::optional<ImportBatch> Records::import_batch(Id id) {
    static const std::string sql = "SELECT " + batch_columns + " FROM import_batch WHERE id = ?1";
    return first(db().query(sql.c_str(), id), read_batch);
}

std::vector<ImportBatch> Records::import_batches() {
    static const std::string sql = "SELECT " + batch_columns + " FROM import_batch ORDER BY id";
    return all(db().query(sql.c_str()), read_batch);
}

std::vector<ImportEntry> Records::import_entries(Id batch, std::size_t limit) {
    return all(db().query("SELECT batch, row, person, changes FROM import_entry WHERE batch = ?1 "
                          "ORDER BY row DESC LIMIT ?2",
                          batch, number(limit)),
               read_entry);
}

std::vector<ImportEntry> Records::import_entries_of(Id person) {
    return all(db().query("SELECT batch, row, person, changes FROM import_entry WHERE person = ?1 "
                          "ORDER BY batch, row",
                          person),
               read_entry);
}

void Records::add(const ImportBatch& b) {
    static const std::string sql = "INSERT INTO import_batch (" + batch_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                                   "?15, ?16)";
    db().run(sql.c_str(), b.id, b.name, b.digest, number(b.state), b.format, b.basis, b.started_at,
             b.changed_at, b.position, b.imported, b.merged, b.unchanged, b.refused, b.restored, b.kept,
             write_counts(scratch_, b.whys));
}

void Records::update(const ImportBatch& b) {
    db().run(
        "UPDATE import_batch SET state = ?2, changed_at = ?3, position = ?4, imported = ?5, merged = ?6, "
        "unchanged = ?7, refused = ?8, restored = ?9, kept = ?10, whys = ?11 WHERE id = ?1",
        b.id, number(b.state), b.changed_at, b.position, b.imported, b.merged, b.unchanged, b.refused,
        b.restored, b.kept, write_counts(scratch_, b.whys));
    must_have_changed("batch of an import");
}

void Records::add(const ImportEntry& e) {
    db().run("INSERT INTO import_entry (batch, row, person, changes) VALUES (?1, ?2, ?3, ?4)", e.batch, e.row,
             e.person, e.changes);
}

void Records::update(const ImportEntry& e) {
    db().run("UPDATE import_entry SET changes = ?3 WHERE batch = ?1 AND row = ?2", e.batch, e.row, e.changes);
    must_have_changed("row of an import");
}

void Records::remove(const ImportEntry& e) {
    db().run("DELETE FROM import_entry WHERE batch = ?1 AND row = ?2", e.batch, e.row);
}

std::size_t Records::forget_import_entries(Id batch, std::size_t limit) {
    db().run(
        "DELETE FROM import_entry WHERE batch = ?1 AND row IN (SELECT row FROM import_entry WHERE batch = ?1 "
        "ORDER BY row LIMIT ?2)",
        batch, number(limit));
    return static_cast<std::size_t>(db().changes());
}

// --- export ---------------------------------------------------------------------------------------------

std::size_t Records::export_rows(const ExportFilter& filter, Id after, std::size_t limit,
                                 const std::function<void(const ExportRow&)>& hand_over) {
    const auto lists = newsletters();
    // CROSS JOIN: the rows come in the order of their ids, without sorting, whatever the filter.
    static const std::string sql =
        "SELECT s.id, s.newsletter, s.status, s.signed_up_at, s.confirmed_at, s.unsubscribed_at, s.source, "
        "s.form, s.fields, ifnull(p.address, p.addr_key), p.name, p.locale FROM subscription s CROSS JOIN "
        "person p ON p.id = s.person WHERE s.id > ?5 AND " +
        export_filter + " ORDER BY s.id LIMIT ?6";
    auto row = db().query(sql.c_str(), filter.newsletter, status_number(filter), filter.changed_since,
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
    auto row = db().query(sql.c_str(), filter.newsletter, status_number(filter), filter.changed_since,
                          filter.locale);
    return row.step() ? row.integer(0) : 0;
}

}  // namespace zgoda::storage
