-- What became of letters so far, and whether the relay takes any: for metrics and `zgoda mail status`.

ALTER TABLE mailer_note ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailer_note ADD COLUMN later INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailer_note ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailer_note ADD COLUMN uncertain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailer_note ADD COLUMN relay_trouble TEXT NOT NULL DEFAULT '';
ALTER TABLE mailer_note ADD COLUMN trouble_since INTEGER NOT NULL DEFAULT 0;

-- Letters that somebody waits for go before welcome and goodbye letters.
CREATE INDEX letter_urgent ON letter (due_at) WHERE (state = 0 OR state = 3 OR state = 5) AND kind < 4;
