-- Confirmations go before all other letters. Each letter that waits stands in one of three indexes.
DROP INDEX letter_due;
DROP INDEX letter_urgent;
CREATE INDEX letter_due ON letter (due_at) WHERE (state = 0 OR state = 3 OR state = 5) AND kind >= 4;
CREATE INDEX letter_urgent ON letter (due_at) WHERE (state = 0 OR state = 3 OR state = 5) AND kind > 0 AND kind < 4;
CREATE INDEX letter_confirmation ON letter (due_at) WHERE (state = 0 OR state = 3 OR state = 5) AND kind = 0;
