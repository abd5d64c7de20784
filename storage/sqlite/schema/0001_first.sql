-- Ids are 64-bit integers from one sequence, never reused. Times are integer milliseconds UTC. Small integers stand
-- for the words of service/words.h, in the order of its lists; the number of each is written here once:
--
--   subscription.status  0 pending 1 confirmed 2 paused 3 unsubscribed 4 undeliverable 5 bounced 6 complained
--   request.state        0 open 1 confirmed 2 declined 3 lapsed 4 suppressed 5 honeypot 6 already 7 withdrawn
--   letter.kind          0 confirmation 1 already_subscribed 2 preference_link 3 address_change 4 welcome 5 goodbye
--   letter.state         0 queued 1 leased 2 sent 3 deferred 4 refused 5 uncertain 6 expired 7 cancelled
--   ledger.kind          0 signup_requested 1 letter_sent 2 letter_refused 3 confirmed 4 declined 5 withdrawn
--                        6 withdrawal_undone 7 paused 8 resumed 9 address_changed 10 imported 11 import_undone
--                        12 bounced 13 complained 14 suppressed 15 unsuppressed 16 lapsed 17 erased
--   suppression.reason   0 complaint 1 not_me 2 never_again 3 hard_bounce 4 admin 5 erased
--
-- Indexes whose keys come in random order are what slows a large database: only person.addr_key does.

CREATE TABLE sequence (  -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_id INTEGER NOT NULL,
    newsletters INTEGER NOT NULL  -- raised by every change of a newsletter, so that copies in memory know
) STRICT;
INSERT INTO sequence VALUES (1, 0, 0);

CREATE TABLE newsletter (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    open INTEGER NOT NULL
) STRICT;

CREATE TABLE newsletter_alias (
    id INTEGER PRIMARY KEY,
    newsletter INTEGER NOT NULL REFERENCES newsletter,
    slug TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE newsletter_setting (
    newsletter INTEGER NOT NULL REFERENCES newsletter,
    key TEXT NOT NULL,
    locale TEXT NOT NULL,  -- '': serves all languages without their own
    value TEXT NOT NULL,
    PRIMARY KEY (newsletter, key, locale)
) STRICT, WITHOUT ROWID;

CREATE TABLE wording (
    id TEXT PRIMARY KEY,
    newsletter INTEGER NOT NULL,
    locale TEXT NOT NULL,
    text TEXT NOT NULL,
    privacy_url TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE person (
    id INTEGER PRIMARY KEY,
    addr_key TEXT NOT NULL UNIQUE,
    abuse_key TEXT,  -- this and the next two: NULL if the same as addr_key
    address TEXT,
    envelope TEXT,
    needs_smtputf8 INTEGER NOT NULL,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    proven_at INTEGER,
    generation INTEGER NOT NULL,
    budget BLOB  -- letters counted under addr_key, as budget.entries
) STRICT;

CREATE TABLE subscription (
    id INTEGER PRIMARY KEY,
    person INTEGER NOT NULL REFERENCES person,
    newsletter INTEGER NOT NULL REFERENCES newsletter,
    status INTEGER NOT NULL,
    signed_up_at INTEGER NOT NULL,
    confirmed_at INTEGER,
    unsubscribed_at INTEGER,
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    fields TEXT NOT NULL,
    UNIQUE (person, newsletter)
) STRICT;

CREATE TABLE request (  -- kept in the order of people: nobody looks for one by its id alone
    person INTEGER NOT NULL REFERENCES person,
    id INTEGER NOT NULL,
    state INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    wishes TEXT NOT NULL,  -- 'NEWSLETTER:WORDING NEWSLETTER:WORDING ...'
    locale TEXT NOT NULL,
    name TEXT NOT NULL,
    fields TEXT NOT NULL,
    source TEXT NOT NULL,
    form TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    network TEXT NOT NULL,
    letter INTEGER,
    PRIMARY KEY (person, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_waiting ON request (asked_at, id) WHERE letter IS NULL AND state = 0;

CREATE TABLE letter (
    id INTEGER PRIMARY KEY,
    person INTEGER NOT NULL REFERENCES person,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    locale TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    first_leased_at INTEGER,
    leased_at INTEGER,
    sent_at INTEGER,
    expires_at INTEGER,
    leased_by TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    uncertain INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    newsletters TEXT NOT NULL,  -- 'NEWSLETTER NEWSLETTER ...'
    network TEXT NOT NULL,
    budgeted INTEGER NOT NULL,
    mailbox_unknown INTEGER NOT NULL,
    reply TEXT NOT NULL
) STRICT;
CREATE INDEX letter_of_person ON letter (person);
CREATE INDEX letter_due ON letter (due_at) WHERE state IN (0, 3, 5);
CREATE INDEX letter_leased ON letter (state) WHERE state = 1;
CREATE UNIQUE INDEX letter_open_confirmation ON letter (person) WHERE kind = 0 AND state IN (0, 1, 3, 5);

CREATE TABLE mailer_note (  -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_run_at INTEGER NOT NULL,
    usual_delay INTEGER NOT NULL
) STRICT;
INSERT INTO mailer_note VALUES (1, 0, 0);

CREATE TABLE suppression (
    key BLOB NOT NULL,
    reason INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (key, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE budget (  -- of addresses that no person here has; hers stands in person.budget
    abuse_key TEXT PRIMARY KEY,
    entries BLOB NOT NULL  -- 16 bytes each, little-endian: time, then hash of the client network
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    person INTEGER NOT NULL,
    details TEXT NOT NULL,
    identity_commitment BLOB NOT NULL,
    evidence_commitment BLOB NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    identity_nonce BLOB,
    identity TEXT,
    evidence_nonce BLOB,
    evidence TEXT
) STRICT;
CREATE INDEX ledger_of_person ON ledger (person);

CREATE TRIGGER ledger_stays BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER ledger_chain_stays
BEFORE UPDATE OF seq, at, kind, person, details, identity_commitment, evidence_commitment, previous, hash ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TRIGGER ledger_only_forgets BEFORE UPDATE OF identity_nonce, identity, evidence_nonce, evidence ON ledger
WHEN NOT (NEW.identity_nonce IS NULL AND NEW.identity IS NULL
          OR NEW.identity_nonce IS OLD.identity_nonce AND NEW.identity IS OLD.identity)
  OR NOT (NEW.evidence_nonce IS NULL AND NEW.evidence IS NULL
          OR NEW.evidence_nonce IS OLD.evidence_nonce AND NEW.evidence IS OLD.evidence)
BEGIN SELECT RAISE(ABORT, 'what stands beside the ledger can only be removed'); END;

CREATE TABLE ledger_head (  -- one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    key_id INTEGER NOT NULL,
    seal BLOB NOT NULL
) STRICT;
INSERT INTO ledger_head VALUES (1, 0, zeroblob(32), 0, zeroblob(32));
