-- A letter that is added pays for every index of its table, whether it stands in it or not. Two instead of six:
-- one by person, in which all open confirmations of a person have the same key, so that there is at most one;
-- and one of all letters that are not through, by rank, those that a mailer holds behind the rest (rank 3).

DROP INDEX letter_of_person;
DROP INDEX letter_open_confirmation;
DROP INDEX letter_due;
DROP INDEX letter_urgent;
DROP INDEX letter_confirmation;
DROP INDEX letter_leased;
CREATE UNIQUE INDEX letter_of_person ON letter (
    person, CASE WHEN kind = 0 AND (state = 0 OR state = 1 OR state = 3 OR state = 5) THEN 0 ELSE id END);
CREATE INDEX letter_open ON letter (CASE state WHEN 1 THEN 3 ELSE (kind > 0) + (kind >= 4) END, due_at)
WHERE state = 0 OR state = 1 OR state = 3 OR state = 5;
