-- What returned mail says about a person's mailbox so far.

CREATE TABLE bounce_score (
    person INTEGER PRIMARY KEY,
    points INTEGER NOT NULL,
    scored_at INTEGER NOT NULL,
    struck_at INTEGER NOT NULL
) STRICT;
