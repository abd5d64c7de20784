// What is remembered: the value types that service/ reads from and writes to a Store.
//
// They hold words of newsletters, not of tables. A record read is a copy; to change it, change the copy and
// hand it back (Transaction::update).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "service/newsletter.h"
#include "service/time.h"
#include "service/words.h"

namespace zgoda::service {

using Digest = std::array<std::uint8_t, 32>;  // SHA-256 or HMAC-SHA256
using Nonce = std::array<std::uint8_t, 16>;

// A human behind an address. The typed name and language reach her only with the confirmation of its own
// request.
struct Person {
    Id id = 0;
    std::string addr_key;   // identity, unique
    std::string abuse_key;  // counts letters only
    std::string address;    // as shown
    std::string envelope;   // as given to SMTP
    bool needs_smtputf8 = false;
    std::string name;
    std::string locale;
    TimeMs created_at = 0;
    std::optional<TimeMs> proven_at;  // her first own confirmation
    std::uint16_t generation =
        0;  // raised by withdrawal, erasure, change of address: ends open confirm tokens
};

struct Subscription {
    Id id = 0;
    Id person = 0;
    Id newsletter = 0;
    SubscriptionStatus status = SubscriptionStatus::pending;
    TimeMs signed_up_at = 0;
    std::optional<TimeMs> confirmed_at;
    std::optional<TimeMs> unsubscribed_at;
    std::optional<TimeMs> paused_until;  // paused: when it goes on by itself
    std::string source;
    std::string form;
    std::string fields;  // JSON object, or ""
};

// One newsletter asked for, and the id of the wording that the form showed ("" if the form did not state it).
struct Wish {
    Id newsletter = 0;
    std::string wording;
};

// One form post. Keeps its own source, wording and typed data for as long as it lives.
struct Request {
    Id id = 0;
    Id person = 0;
    RequestState state = RequestState::open;
    TimeMs asked_at = 0;
    std::vector<Wish> wishes;
    std::string locale;
    std::string name;
    std::string fields;  // JSON object, or ""
    std::string source;
    std::string form;
    std::string ip;
    std::string user_agent;
    std::string network;  // client network of ip, service/client.h
    std::string browser;  // hash (hex) of the secret that her browser keeps; "": no form of our own pages
    std::optional<Id> letter;  // that asks for its confirmation; none while it waits for one
};

// A row of the outbox: what a letter is made from, not the letter.
struct Letter {
    Id id = 0;
    Id person = 0;
    LetterKind kind = LetterKind::confirmation;
    LetterState state = LetterState::queued;
    std::string locale;
    TimeMs created_at = 0;
    TimeMs due_at = 0;
    std::optional<TimeMs> first_leased_at;  // from then on newsletters, locale and expiry are frozen
    std::optional<TimeMs> leased_at;
    std::optional<TimeMs> sent_at;
    std::optional<TimeMs> expires_at;
    std::string leased_by;         // mailer id, while state is leased
    int attempts = 0;              // that count against the schedule
    int uncertain = 0;             // results lost after the final dot
    std::string message_id;        // without <>; made here once, the same on every retry
    int key_id = 0;                // signs its links
    std::vector<Id> newsletters;   // that it names
    std::string network;           // of the client that caused it, for the budget
    bool budgeted = false;         // the mail budget has paid for it; unpaid ones wait
    bool mailbox_unknown = false;  // refused because there is no such mailbox or domain
    std::string reply;             // the server's own last words
    std::optional<Id> change;      // address_change: the change of address that it is about
    bool suspect = false;          // its link was pressed as only machines press: asked once more
};

// A change of a person's address. Both ends confirm by their own letter; afterwards the old one can take it
// back for a while. At most one of a person is open: neither done nor ended.
struct AddressChange {
    struct End {
        std::string addr_key, abuse_key, address, envelope;
        bool needs_smtputf8 = false;
        std::optional<Id> letter;  // that asks this end
        std::optional<TimeMs> confirmed_at;
    };
    Id id = 0;
    Id person = 0;
    End from, to;
    TimeMs asked_at = 0;
    std::optional<TimeMs> done_at;   // the person has the new address since
    std::optional<TimeMs> ended_at;  // refused, replaced by another, ran out, or taken back
};

// The letters that one abuse_key was sent because of requests that prove nothing, oldest first.
struct BudgetEntry {
    TimeMs at = 0;
    std::uint64_t network = 0;  // keyed hash of the client network that caused it

    friend bool operator==(const BudgetEntry&, const BudgetEntry&) = default;
};

struct Suppression {
    Digest key{};  // keyed hash of addr_key; the address itself is not needed
    int key_id = 0;
    SuppressionReason reason = SuppressionReason::admin;
    TimeMs at = 0;
};

// What mail that came back says about a person's mailbox so far (service/bounces.h).
struct BounceScore {
    Id person = 0;
    int points = 0;
    TimeMs scored_at = 0;  // the last point; 0: none
    TimeMs struck_at = 0;  // a refusal that may have been for good; 0: none
};

// A link of the consent ledger. `details` are in the chain for ever and hold nothing personal; identity and
// evidence stand beside it: the chain only has their commitments, so both can be deleted without breaking it.
struct Event {
    std::int64_t seq = 0;  // 1, 2, 3 ... without a gap
    TimeMs at = 0;
    EventKind kind = EventKind::signup_requested;
    Id person = 0;
    std::string details;  // JSON
    Digest identity_commitment{};
    Digest evidence_commitment{};
    Digest previous{};
    Digest hash{};

    // Beside the chain. No nonce: erased (identity) or truncated (evidence, then without a commitment to hold
    // it).
    std::optional<Nonce> identity_nonce;
    std::string identity;  // JSON
    std::optional<Nonce> evidence_nonce;
    std::string evidence;  // JSON
};

struct LedgerHead {
    std::int64_t seq = 0;
    Digest hash{};
    int key_id = 0;
    Digest seal{};  // HMAC over seq and hash, under a key outside the database
};

// One run of `import` over one file, which can be taken back.
struct ImportBatch {
    Id id = 0;
    std::string name;  // unique
    Digest digest{};   // of the file and of what was asked: the same again goes on with this one
    ImportState state = ImportState::running;
    std::string format;
    std::string basis;
    TimeMs started_at = 0;
    TimeMs changed_at = 0;
    std::int64_t position = 0;  // rows of the file that are done
    std::int64_t imported = 0, merged = 0, unchanged = 0, refused = 0;
    std::map<std::string, std::int64_t> whys;  // of the refused, by RowVerdict::why
    std::int64_t restored = 0, kept = 0;       // records, by undo
};

// What one row of a batch changed of one person, and how it was before.
struct ImportEntry {
    Id batch = 0;
    std::int64_t row = 0;  // 1 is the first of the batch; below, what an undo has kept (import_undo.cpp)
    Id person = 0;
    std::string changes;  // JSON, of service/import_journal.h
};

struct ExportRow {  // views are valid during the call that hands it over
    Id subscription = 0;
    std::string_view email, name, newsletter, locale, source, form, fields;
    SubscriptionStatus status = SubscriptionStatus::pending;
    TimeMs signed_up_at = 0;
    std::optional<TimeMs> confirmed_at, unsubscribed_at;
};

struct ExportFilter {
    std::optional<Id> newsletter;
    std::optional<SubscriptionStatus> status;  // nullopt: all
    std::optional<TimeMs> changed_since;       // anything that a row shows, by the clock of the store
    std::string locale;                        // "": all
};

struct OutboxCounts {
    std::int64_t due = 0;      // should go now
    std::int64_t waiting = 0;  // queued, deferred, uncertain or leased, the due ones included
    std::optional<TimeMs> oldest_due;
};

// The stop switch of the mail: letters that it names stay where they are until it is taken away.
struct MailPause {
    enum class Scope : std::uint8_t {
        all,
        newsletter,
        domain,
        after_restore,  // all, until somebody has looked at what a restore brought back
    } scope = Scope::all;
    std::string name;  // newsletter: its id; domain: lower case, A-labels; else ""
    TimeMs since = 0;
};

// A program's right to administer over HTTP; the text that it shows is not kept.
struct AdminToken {
    Id id = 0;
    std::string name;
    Digest digest{};  // SHA-256 of its text
    std::vector<TokenScope> scopes;
    std::vector<std::string> networks;  // empty: from anywhere
    TimeMs created_at = 0;
    std::optional<TimeMs> expires_at, revoked_at, last_used_at;
};

// What an administrator did.
struct AdminAct {
    Id id = 0;
    TimeMs at = 0;
    std::string who;      // user of this machine, or "token NAME (id ID)"
    std::string what;     // the verb, as "subscriber erase"
    std::string details;  // JSON object: ids, never addresses
};

// A peer that sent X-Forwarded-For without being a trusted proxy.
struct ProxyNote {
    std::string network;  // of the peer, service/client.h
    TimeMs at = 0;
};

// What mailers leave for others to see.
struct MailerNote {
    TimeMs last_run_at = 0;      // as written down, see note_runs_every (service/outbox.h); 0: never
    DurationMs usual_delay = 0;  // from signup to sent, lately; what tickets without a letter imitate
    // Results of attempts so far; `later` leaves out those that were only the relay's trouble.
    std::int64_t delivered = 0, later = 0, refused = 0, uncertain = 0;
    std::string relay_trouble{};  // why the relay takes no letters, as the last run found it; "" if it does
    TimeMs trouble_since = 0;
};

}  // namespace zgoda::service
