// The records of service/ as rows of SQLite: every query and every change that a unit of work can ask for.
//
// Belongs to one connection and its thread. The owner brackets it: begin_view() after BEGIN, end_group()
// before COMMIT, end_unit() after each unit, begin_unit() and undo_unit() beside a unit's savepoint. Between
// them it keeps what every unit needs (the next id, the ledger's head) in memory and writes it once a group.
//
// records.cpp has the bracket and the newsletters; records_people, records_ledger, records_outbox and
// records_desk have the rest.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "service/store.h"
#include "storage/sqlite/connection.h"
#include "storage/sqlite/withdrawals_journal.h"

namespace zgoda::storage {

// The newsletters as they were last read, shared by all connections of a store.
class NewslettersCache {
 public:
    std::shared_ptr<const service::Newsletters> find(std::int64_t version) const;
    void keep(std::int64_t version, std::shared_ptr<const service::Newsletters>);

 private:
    mutable std::mutex mutex_;
    std::int64_t version_ = -1;
    std::shared_ptr<const service::Newsletters> newsletters_;
};

class Records final : public service::Transaction {
 public:
    // `journal` is needed by writers only.
    Records(Connection& db, NewslettersCache& cache, WithdrawalsJournal* journal)
        : db_(db), cache_(cache), journal_(journal) {}

    void begin_view();
    void begin_unit();
    void undo_unit();
    void end_unit();
    void end_group();

    // Lines for the withdrawals journal, of the units since begin_view() that were not undone.
    const std::string& withdrawals() const { return withdrawals_; }
    // Somebody was erased since begin_view().
    bool erased() const { return erased_; }

    std::shared_ptr<const service::Newsletters> newsletters() override;
    std::optional<service::Wording> wording(std::string_view id) override;

    std::optional<service::Person> person(service::Id) override;
    std::optional<service::Person> person_by_key(std::string_view addr_key) override;
    std::optional<service::Subscription> subscription(service::Id) override;
    std::vector<service::Subscription> subscriptions_of(service::Id person) override;
    std::vector<service::Request> requests_of(service::Id person) override;

    std::optional<service::Letter> letter(service::Id) override;
    std::vector<service::Letter> letters_of(service::Id person) override;
    std::optional<service::Letter> open_letter(service::Id person, service::LetterKind) override;
    std::vector<service::Letter> due_letters(service::TimeMs now, std::size_t limit) override;
    std::vector<service::Letter> leased_letters() override;
    service::OutboxCounts outbox(service::TimeMs now) override;
    service::MailerNote mailer_note() override;
    std::optional<service::ProxyNote> proxy_note() override;
    std::vector<service::Request> waiting_requests(service::TimeMs asked_before, std::size_t limit) override;

    std::vector<service::Letter> open_letters(service::TimeMs due_after, service::Id after,
                                              std::size_t limit) override;
    std::vector<service::MailPause> mail_pauses() override;
    std::vector<service::Person> people(service::Id after, std::size_t limit) override;
    std::vector<service::Id> unproven_people(service::TimeMs created_before, service::Id after,
                                             std::size_t limit) override;
    std::vector<service::Suppression> all_suppressions(const service::Suppression* after,
                                                       std::size_t limit) override;
    std::vector<std::int64_t> events_with_evidence(service::TimeMs before, std::int64_t after_seq,
                                                   std::size_t limit) override;
    std::vector<service::Request> requests_with_evidence(service::TimeMs asked_before,
                                                         service::Id after_person, service::Id after_id,
                                                         std::size_t limit) override;
    std::vector<service::Id> finished_letters(service::TimeMs created_before, service::Id after,
                                              std::size_t limit) override;
    std::vector<std::string> budget_keys(std::string_view after, std::size_t limit) override;
    service::Id last_letter_before(service::TimeMs created_before) override;
    std::vector<service::AdminToken> admin_tokens() override;
    std::optional<service::AdminToken> admin_token(const service::Digest&) override;
    std::vector<service::AdminAct> admin_acts(service::Id before, std::size_t limit) override;

    std::vector<service::Subscription> ended_pauses(service::TimeMs now, std::size_t limit) override;
    std::optional<service::AddressChange> address_change(service::Id) override;
    std::vector<service::AddressChange> address_changes_of(service::Id person) override;
    int wrong_codes(service::Id letter) override;
    service::BounceScore bounce_score(service::Id person) override;

    std::vector<service::Suppression> suppressions(const service::Digest& key) override;
    std::vector<service::BudgetEntry> budget(std::string_view abuse_key) override;

    service::LedgerHead ledger_head() override;
    std::vector<service::Event> events(std::int64_t after_seq, std::size_t limit) override;
    std::vector<service::Event> events_of(service::Id person) override;

    std::optional<service::ImportBatch> import_batch(service::Id) override;
    std::vector<service::ImportBatch> import_batches() override;
    std::vector<service::ImportEntry> import_entries(service::Id batch, std::size_t limit) override;
    std::vector<service::ImportEntry> import_entries_of(service::Id person) override;

    std::size_t export_rows(const service::ExportFilter&, service::Id after, std::size_t limit,
                            const std::function<void(const service::ExportRow&)>& row) override;
    std::int64_t count_export_rows(const service::ExportFilter&) override;

    service::Id new_id() override;
    void add(const service::Newsletter&) override;
    void update(const service::Newsletter&) override;
    void keep(const service::Wording&) override;
    void add(const service::Person&) override;
    void update(const service::Person&) override;
    void add(const service::Subscription&) override;
    void update(const service::Subscription&) override;
    void add(const service::Request&) override;
    void update(const service::Request&) override;
    void add(const service::Letter&) override;
    void update(const service::Letter&) override;
    void note_mailer(const service::MailerNote&) override;
    void note_proxy(const std::optional<service::ProxyNote>&) override;
    void add(const service::AddressChange&) override;
    void update(const service::AddressChange&) override;
    void set_wrong_codes(service::Id letter, int) override;
    void set_bounce_score(const service::BounceScore&) override;
    void add(const service::Suppression&) override;
    void remove(const service::Suppression&) override;
    void set_budget(std::string_view abuse_key, std::span<const service::BudgetEntry>) override;
    void add(const service::MailPause&) override;
    void remove(const service::MailPause&) override;
    void add(const service::AdminAct&) override;
    void add(const service::AdminToken&) override;
    void update(const service::AdminToken&) override;
    void forget_evidence(std::int64_t event) override;
    void forget_evidence(const service::Request&) override;
    void remove_letter(service::Id) override;
    std::size_t remove_wrong_codes(service::Id until) override;
    void append(const service::Event&, Seal) override;
    void remove(const service::Subscription&) override;
    void add(const service::ImportBatch&) override;
    void update(const service::ImportBatch&) override;
    void add(const service::ImportEntry&) override;
    void update(const service::ImportEntry&) override;
    void remove(const service::ImportEntry&) override;
    std::size_t forget_import_entries(service::Id batch, std::size_t limit) override;
    void erase_person(service::Id) override;
    void journal_withdrawal(std::string_view line) override;

 private:
    // What is kept in memory between BEGIN and COMMIT, and put back when a unit is undone.
    struct State {
        std::optional<service::LedgerHead> head;
        Seal seal;  // of the last event that was appended
        bool newsletters_changed = false;
        std::shared_ptr<const service::Newsletters> newsletters;
        std::size_t withdrawals_size = 0;
        struct Newest {  // who came last, and what stands (or will stand) in her row as her budget
            service::Id id;
            std::string addr_key;
            std::vector<std::uint8_t> budget;
            // Her row is written when anything else is asked of the database: by then her first letter has
            // been paid for, as a rule, and the row does not have to be changed at once.
            std::optional<service::Person> unwritten;
        };
        std::optional<Newest> newest;
    };

    void load_sequence();
    std::shared_ptr<const service::Newsletters> load_newsletters();
    void write_names(const service::Newsletter&);
    void must_have_changed(const char* what);
    std::vector<std::uint8_t> take_budget(const std::string& addr_key);
    void give_budget(service::Id person, const std::vector<std::uint8_t>& bytes);

    // For every statement but those that look past the newest person.
    Connection& db() {
        if (state_.newest && state_.newest->unwritten) write_newest();
        return db_;
    }
    void write_newest();

    Connection& db_;
    NewslettersCache& cache_;
    WithdrawalsJournal* journal_;
    State state_;
    State before_unit_;
    bool sequence_loaded_ = false;
    std::int64_t last_id_ = 0;    // never falls, not even when the database's own does by a rollback
    std::int64_t stored_id_ = 0;  // what the row says
    std::int64_t newsletters_version_ = 0;
    bool erased_ = false;
    std::string withdrawals_;
    std::string scratch_;
};

}  // namespace zgoda::storage
