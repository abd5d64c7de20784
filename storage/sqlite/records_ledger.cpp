#include "storage/sqlite/records.h"

#include <stdexcept>

#include "storage/sqlite/rows.h"

namespace zgoda::storage {

using namespace service;

namespace {

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

}  // namespace

LedgerHead Records::ledger_head() {
    if (!state_.head) {
        auto row = db().query("SELECT seq, hash, key_id, seal FROM ledger_head");
        if (!row.step()) throw StorageError("the database has lost the head of its ledger");
        state_.head = LedgerHead{row.integer(0), row.bytes<32>(1), row.small(2), row.bytes<32>(3)};
    }
    return *state_.head;
}

void Records::append(const Event& e, Seal seal) {
    const LedgerHead before = ledger_head();
    if (e.seq != before.seq + 1 || e.previous != before.hash) {
        throw std::logic_error("an event that does not follow the ledger's head");
    }
    using Text = std::optional<std::string_view>;
    const Text identity = e.identity_nonce ? Text(e.identity) : std::nullopt;
    const Text evidence = e.evidence_nonce ? Text(e.evidence) : std::nullopt;
    static const std::string sql = "INSERT INTO ledger (" + event_columns +
                                   ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    db().run(sql.c_str(), e.seq, e.at, number(e.kind), e.person, e.details, e.identity_commitment,
             e.evidence_commitment, e.previous, e.hash, e.identity_nonce, identity, e.evidence_nonce,
             evidence);
    state_.head = LedgerHead{e.seq, e.hash, 0, {}};
    state_.seal = std::move(seal);
}

std::vector<Event> Records::events(std::int64_t after_seq, std::size_t limit) {
    static const std::string sql =
        "SELECT " + event_columns + " FROM ledger WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    return all(db().query(sql.c_str(), after_seq, number(limit)), read_event);
}

std::vector<Event> Records::events_of(Id person) {
    static const std::string sql = "SELECT " + event_columns + " FROM ledger WHERE person = ?1 ORDER BY seq";
    return all(db().query(sql.c_str(), person), read_event);
}

void Records::journal_withdrawal(std::string_view line) {
    journal_->open();  // if that can't be, it is this unit that fails
    withdrawals_ += line;
    withdrawals_ += '\n';
}

std::vector<std::int64_t> Records::events_with_evidence(TimeMs before, std::int64_t after_seq,
                                                        std::size_t limit) {
    return all<Id>(
        db().query("SELECT seq FROM ledger WHERE seq > ?2 AND at < ?1 AND evidence_nonce IS NOT NULL "
                   "ORDER BY seq LIMIT ?3",
                   before, after_seq, number(limit)),
        read_id);
}

void Records::forget_evidence(std::int64_t event) {
    db().run("UPDATE ledger SET evidence_nonce = NULL, evidence = NULL WHERE seq = ?1", event);
}

}  // namespace zgoda::storage
