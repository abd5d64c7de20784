-- When each row of an export last changed, why imports refused rows, and what `zgoda doctor` learns of the
-- service's proxies.

ALTER TABLE subscription ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;  -- by the clock of who wrote it
UPDATE subscription SET changed_at = max(signed_up_at, ifnull(confirmed_at, 0), ifnull(unsubscribed_at, 0),
    (SELECT created_at FROM person WHERE person.id = subscription.person));

ALTER TABLE import_batch ADD COLUMN whys TEXT NOT NULL DEFAULT '';  -- 'unproven 3,erased 1'

CREATE TABLE proxy_note (  -- at most one row
    one INTEGER PRIMARY KEY CHECK (one = 1),
    network TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
