SELECT id FROM app.webhook_endpoints
WHERE organisation = $1 AND disabled_because IN ('gone', 'failing') AND owner_told_at IS NULL
ORDER BY id
LIMIT $2
