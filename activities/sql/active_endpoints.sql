-- The webhook endpoints of an organisation that are in use, oldest first.
SELECT id, url, secret_sealed, event_types
FROM app.webhook_endpoints
WHERE organisation = $1 AND disabled_at IS NULL
ORDER BY created_at, id
LIMIT $2
