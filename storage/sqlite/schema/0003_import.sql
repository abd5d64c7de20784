-- Imports that can be taken back: what each row of a batch changed, and how it was before.
--
--   import_batch.state  0 running 1 done 2 undoing 3 undone

CREATE TABLE import_batch (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,
    state INTEGER NOT NULL,
    format TEXT NOT NULL,
    basis TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    position INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    merged INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    restored INTEGER NOT NULL,
    kept INTEGER NOT NULL
) STRICT;

CREATE TABLE import_entry (
    batch INTEGER NOT NULL REFERENCES import_batch,
    row INTEGER NOT NULL,
    person INTEGER NOT NULL,
    changes TEXT NOT NULL,
    PRIMARY KEY (batch, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_entry_of_person ON import_entry (person);  -- new people's ids ascend, as its rows do
