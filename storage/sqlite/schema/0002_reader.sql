-- What readers do after their first confirmation: pause, change their address, confirm by code.

ALTER TABLE subscription ADD COLUMN paused_until INTEGER;
CREATE INDEX subscription_paused ON subscription (paused_until) WHERE status = 2;

ALTER TABLE request ADD COLUMN browser TEXT NOT NULL DEFAULT '';

ALTER TABLE letter ADD COLUMN change INTEGER;
ALTER TABLE letter ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;

CREATE TABLE address_change (
    id INTEGER PRIMARY KEY,
    person INTEGER NOT NULL REFERENCES person,
    asked_at INTEGER NOT NULL,
    done_at INTEGER,
    ended_at INTEGER,
    from_addr_key TEXT NOT NULL,
    from_abuse_key TEXT NOT NULL,
    from_address TEXT NOT NULL,
    from_envelope TEXT NOT NULL,
    from_needs_smtputf8 INTEGER NOT NULL,
    from_letter INTEGER,
    from_confirmed_at INTEGER,
    to_addr_key TEXT NOT NULL,
    to_abuse_key TEXT NOT NULL,
    to_address TEXT NOT NULL,
    to_envelope TEXT NOT NULL,
    to_needs_smtputf8 INTEGER NOT NULL,
    to_letter INTEGER,
    to_confirmed_at INTEGER
) STRICT;
CREATE INDEX address_change_of_person ON address_change (person);

CREATE TABLE wrong_code (
    letter INTEGER PRIMARY KEY,  -- of a ticket without one: its request's id, negative
    wrong INTEGER NOT NULL
) STRICT;
