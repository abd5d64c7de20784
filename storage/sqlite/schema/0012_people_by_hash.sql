-- The index of people by address is the one whose keys come in random order: of each signup it costs a page, and
-- of a large database most of what a checkpoint writes. By the first 8 bytes of the key's SHA-256 it is a third as
-- long. Still nobody is there twice; that two addresses have one hash is a matter of 1 in 2^64, and then the second
-- one is refused as an error. (key_hash() here is the program's, for this migration only.)

CREATE TABLE person_anew (
    id INTEGER PRIMARY KEY,
    addr_key TEXT NOT NULL,
    abuse_key TEXT,  -- this and the next two: NULL if the same as addr_key
    address TEXT,
    envelope TEXT,
    needs_smtputf8 INTEGER NOT NULL,
    name TEXT NOT NULL,
    locale TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    proven_at INTEGER,
    generation INTEGER NOT NULL,
    budget BLOB,  -- letters counted under addr_key, as budget.entries
    key_hash INTEGER NOT NULL  -- of addr_key
) STRICT;
INSERT INTO person_anew SELECT id, addr_key, abuse_key, address, envelope, needs_smtputf8, name, locale, created_at,
    proven_at, generation, budget, key_hash(addr_key) FROM person ORDER BY id;
DROP TABLE person;
ALTER TABLE person_anew RENAME TO person;
CREATE UNIQUE INDEX person_by_key ON person (key_hash);
