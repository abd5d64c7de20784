-- What the admin's desk needs: the stop switch of the mail, and who did what.
--
--   mail_pause.scope  0 all 1 newsletter 2 domain 3 after_restore

CREATE TABLE mail_pause (
    scope INTEGER NOT NULL,
    name TEXT NOT NULL,  -- the newsletter's id or the domain; '' for all letters
    since INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_act (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    details TEXT NOT NULL  -- JSON; ids, never addresses
) STRICT;
