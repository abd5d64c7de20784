-- Keys of programs that administer over HTTP. Revoked ones stay, for the record of acts.

CREATE TABLE admin_token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,  -- SHA-256 of its text
    scopes TEXT NOT NULL,  -- 'SCOPE SCOPE ...', as service/words.h spells them
    networks TEXT NOT NULL,  -- 'NETWORK NETWORK ...'
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
) STRICT;
