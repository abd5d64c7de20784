// The port to a database: what service/ asks of it. storage/ implements it, one folder a database.
//
// A *unit of work* is a function over a Transaction. It decides on a consistent view and writes everything
// that belongs together: all of it is kept, or none. No rule about who may subscribe lives behind this port.
//
// Threads: a Store may be used from any thread. A Reader or Transaction belongs to the call that received it
// and is gone when that call returns.
//
// Errors: what a unit of work may ordinarily meet (no such person) is in return values. A broken database
// throws StorageError out of the unit; the unit must not catch it.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "service/records.h"

namespace zgoda::service {

// The database failed under a unit of work. Only storage/ throws it.
class StorageError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A consistent, read-only view.
class Reader {
 public:
    virtual ~Reader() = default;

    virtual std::shared_ptr<const Newsletters> newsletters() = 0;
    virtual std::optional<Wording> wording(std::string_view id) = 0;

    virtual std::optional<Person> person(Id) = 0;
    virtual std::optional<Person> person_by_key(std::string_view addr_key) = 0;
    virtual std::optional<Subscription> subscription(Id) = 0;
    virtual std::vector<Subscription> subscriptions_of(Id person) = 0;  // oldest first, as all lists here
    virtual std::vector<Request> requests_of(Id person) = 0;

    virtual std::optional<Letter> letter(Id) = 0;
    virtual std::vector<Letter> letters_of(Id person) = 0;
    // The one letter of this kind that is still to be sent: queued, leased, deferred or uncertain.
    virtual std::optional<Letter> open_letter(Id person, LetterKind) = 0;
    // What is due at `now` (queued, deferred, uncertain): by rank(), and those of one rank soonest first.
    virtual std::vector<Letter> due_letters(TimeMs now, std::size_t limit) = 0;
    virtual std::vector<Letter> leased_letters() = 0;
    virtual OutboxCounts outbox(TimeMs now) = 0;
    virtual MailerNote mailer_note() = 0;
    virtual std::optional<ProxyNote> proxy_note() = 0;
    // Open requests without a letter, asked before `asked_before`.
    virtual std::vector<Request> waiting_requests(TimeMs asked_before, std::size_t limit) = 0;

    // Those still to be sent (queued, deferred, uncertain) in the order of (due_at, id), after this one.
    virtual std::vector<Letter> open_letters(TimeMs due_after, Id after, std::size_t limit) = 0;
    virtual std::vector<MailPause> mail_pauses() = 0;

    // Paused ones whose pause has ended at `now`.
    virtual std::vector<Subscription> ended_pauses(TimeMs now, std::size_t limit) = 0;

    // People by id, those after `after`.
    virtual std::vector<Person> people(Id after, std::size_t limit) = 0;
    // The ids of those who were there before a time, never proved anything, and have no subscriptions but
    // pending and undeliverable ones.
    virtual std::vector<Id> unproven_people(TimeMs created_before, Id after, std::size_t limit) = 0;

    virtual std::optional<AddressChange> address_change(Id) = 0;
    virtual std::vector<AddressChange> address_changes_of(Id person) = 0;

    // How many wrong codes were tried for this letter; for a ticket without one, its negative request id.
    virtual int wrong_codes(Id letter) = 0;

    virtual BounceScore bounce_score(Id person) = 0;  // all zero if nothing is known

    virtual std::vector<Suppression> suppressions(const Digest& key) = 0;
    // Of an address, or of what else is counted, under a name with a colon, which no key of an address has.
    virtual std::vector<BudgetEntry> budget(std::string_view abuse_key) = 0;

    // By key and reason, those after `after` (its key and reason; nullptr: from the first).
    virtual std::vector<Suppression> all_suppressions(const Suppression* after, std::size_t limit) = 0;

    // What retention looks for, each in a stable order, after the last one seen:
    // events older than this whose evidence is still there;
    virtual std::vector<std::int64_t> events_with_evidence(TimeMs before, std::int64_t after_seq,
                                                           std::size_t limit) = 0;
    // requests asked before this that still say more of their client than its network, by (person, id);
    virtual std::vector<Request> requests_with_evidence(TimeMs asked_before, Id after_person, Id after_id,
                                                        std::size_t limit) = 0;
    // letters that are through (sent, refused, expired, cancelled) and were written before this, by id;
    virtual std::vector<Id> finished_letters(TimeMs created_before, Id after, std::size_t limit) = 0;
    // keys of the budget of addresses that no person here has;
    virtual std::vector<std::string> budget_keys(std::string_view after, std::size_t limit) = 0;
    // and the youngest letter written before this (0: none): what has a smaller id is older still.
    virtual Id last_letter_before(TimeMs created_before) = 0;

    virtual std::vector<AdminToken> admin_tokens() = 0;
    virtual std::optional<AdminToken> admin_token(const Digest&) = 0;

    // Newest first, those before `before` (0: from the newest).
    virtual std::vector<AdminAct> admin_acts(Id before, std::size_t limit) = 0;

    virtual LedgerHead ledger_head() = 0;  // seq 0 and an all-zero hash when the ledger is empty
    virtual std::vector<Event> events(std::int64_t after_seq, std::size_t limit) = 0;
    virtual std::vector<Event> events_of(Id person) = 0;

    virtual std::optional<ImportBatch> import_batch(Id) = 0;
    virtual std::vector<ImportBatch> import_batches() = 0;
    virtual std::vector<ImportEntry> import_entries(Id batch, std::size_t limit) = 0;  // the last row first
    virtual std::vector<ImportEntry> import_entries_of(Id person) = 0;                 // by batch and row

    // Hands out rows by subscription id, those after `after`, at most `limit`; returns how many.
    virtual std::size_t export_rows(const ExportFilter&, Id after, std::size_t limit,
                                    const std::function<void(const ExportRow&)>& row) = 0;
    virtual std::int64_t count_export_rows(const ExportFilter&) = 0;
};

// The same view, and the right to change it. `add` expects the id from new_id(); `update` expects a record
// that was read in this unit.
class Transaction : public Reader {
 public:
    virtual Id new_id() = 0;  // ascending, never given out again, not even after an erasure

    virtual void add(const Newsletter&) = 0;     // a slug that is taken throws std::logic_error: look first
    virtual void update(const Newsletter&) = 0;  // slug, aliases, open, settings
    virtual void keep(const Wording&) = 0;       // not an error if it is kept already

    // Whatever changes a row of an export stamps it with the time of the store's own clock at which it is
    // written (ExportFilter::changed_since): a subscription, or its person's address, name or language.
    virtual void add(const Person&) = 0;
    virtual void update(const Person&) = 0;
    virtual void add(const Subscription&) = 0;
    virtual void update(const Subscription&) = 0;
    virtual void add(const Request&) = 0;
    virtual void update(const Request&) = 0;  // state and letter; the rest of a request never changes
    virtual void add(const Letter&) = 0;
    virtual void update(const Letter&) = 0;
    virtual void note_mailer(const MailerNote&) = 0;
    virtual void note_proxy(const std::optional<ProxyNote>&) = 0;  // instead of the last one
    virtual void add(const AddressChange&) = 0;
    virtual void update(const AddressChange&) = 0;
    virtual void set_wrong_codes(Id letter, int) = 0;
    virtual void set_bounce_score(const BounceScore&) = 0;

    virtual void add(
        const Suppression&) = 0;  // a key has each reason at most once; a second one changes nothing
    virtual void remove(const Suppression&) = 0;
    virtual void set_budget(std::string_view abuse_key,
                            std::span<const BudgetEntry>) = 0;  // empty removes it

    virtual void add(const MailPause&) = 0;  // not an error if it is there already: the older one stays
    virtual void remove(const MailPause&) = 0;
    virtual void add(const AdminAct&) = 0;
    virtual void add(const AdminToken&) = 0;
    virtual void update(const AdminToken&) = 0;  // revoked_at and last_used_at

    // Of an event: its evidence. Of a request: all of its client but the network. The rest stays.
    virtual void forget_evidence(std::int64_t event) = 0;
    virtual void forget_evidence(const Request&) = 0;
    virtual void remove_letter(Id) = 0;
    virtual std::size_t remove_wrong_codes(Id until) = 0;  // of letters and requests up to this id; how many

    // Appends the next event; seq and previous must follow the head that was read in this unit. The new head
    // is what `seal` makes of its seq and hash. A store that commits many units at once may call only the
    // last one's, after that unit has returned and before it is answered: until then what `seal` refers to
    // must be there, and the head that a unit reads has no seal.
    using Seal = std::function<LedgerHead(std::int64_t seq, const Digest& hash)>;
    virtual void append(const Event&, Seal) = 0;

    virtual void remove(const Subscription&) = 0;  // for who takes back what made it

    virtual void add(const ImportBatch&) = 0;
    virtual void update(const ImportBatch&) = 0;
    virtual void add(const ImportEntry&) = 0;
    virtual void update(const ImportEntry&) = 0;  // its changes
    virtual void remove(const ImportEntry&) = 0;
    // Removes up to `limit` entries of a batch; returns how many.
    virtual std::size_t forget_import_entries(Id batch, std::size_t limit) = 0;

    // Removes the person with her subscriptions, requests, letters, wrong codes, changes of address, entries
    // of imports, bounce score and the budget under her abuse_key, and identity and evidence of all her
    // events.
    virtual void erase_person(Id) = 0;

    // One line for the withdrawals journal, which is outside the database: on disk before this unit is
    // answered.
    virtual void journal_withdrawal(std::string_view line) = 0;
};

// How a unit of work ended.
enum class Commit {
    done,       // it is on disk
    busy,       // the queue is full; nothing was run
    too_late,   // it waited for longer than 2 s and was dropped before it ran
    disk_full,  // rolled back; the store goes on
    failed,     // the unit itself threw: only it was rolled back
    broken,     // the database can't be trusted to write any more; the process is about to stop
};

struct CommitResult {
    Commit commit = Commit::done;
    std::exception_ptr error;  // of the unit, with failed
};

// A mailer's presence. While it lives, its leases are its own; when its process dies they are anybody's.
class MailerPresence {
 public:
    virtual ~MailerPresence() = default;
    virtual const std::string& id() const = 0;  // unique among all mailers, ever
};

class Store {
 public:
    virtual ~Store() = default;

    using Work = std::function<void(Transaction&)>;
    using Query = std::function<void(Reader&)>;
    using Done = std::function<void(CommitResult)>;

    // Runs `work` in the next group, and calls `done` exactly once, on the store's own thread, when the
    // outcome is known (at once, on the caller's thread, for busy and broken). `work` may run more than once,
    // each time on a clean view: it must have no effect but on the Transaction and its own result, which it
    // overwrites.
    virtual void submit(Work work, Done done) = 0;

    // Runs `query` on a read-only connection, on one of the store's reading threads, then `done`: done or
    // failed.
    virtual void read(Query query, Done done) = 0;

    virtual std::unique_ptr<MailerPresence> enlist_mailer() = 0;
    // Is the mailer of this id still alive? One that nobody knows is not.
    virtual bool mailer_alive(const std::string& id) = 0;
};

// For callers without an event loop: submit or read, and wait for the outcome. Rethrows what the unit threw;
// throws StorageError, saying which, for every other outcome but done.
void run(Store&, Store::Work);
void look(Store&, Store::Query);

}  // namespace zgoda::service
