-- What `zgoda export --status all` writes, as plain SQL: the yardstick for its speed.
SELECT coalesce(p.address, p.addr_key) AS email, p.name, n.slug AS newsletter,
       CASE s.status WHEN 0 THEN 'pending' WHEN 1 THEN 'confirmed' ELSE 'other' END AS status, p.locale,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.signed_up_at / 1000.0, 'unixepoch') AS signed_up_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.confirmed_at / 1000.0, 'unixepoch') AS confirmed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', s.unsubscribed_at / 1000.0, 'unixepoch') AS unsubscribed_at, s.source, s.form, s.fields
FROM subscription s JOIN person p ON p.id = s.person JOIN newsletter n ON n.id = s.newsletter ORDER BY s.id;
