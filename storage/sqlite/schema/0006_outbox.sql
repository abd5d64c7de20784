-- For a list after IN SQLite 3.40 makes a table in memory each time a row is written. The same without lists.

DROP INDEX letter_due;
CREATE INDEX letter_due ON letter (due_at) WHERE state = 0 OR state = 3 OR state = 5;

DROP INDEX letter_open_confirmation;
CREATE UNIQUE INDEX letter_open_confirmation ON letter (person)
WHERE kind = 0 AND (state = 0 OR state = 1 OR state = 3 OR state = 5);
