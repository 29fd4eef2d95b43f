-- The webhook endpoints of an organisation that are in use, oldest first. A secret that was replaced signs as well
-- until its time is over.
SELECT id, url, secret_sealed, event_types,
       CASE WHEN former_secret_until > clock_timestamp() THEN former_secret_sealed END AS former_secret_sealed
FROM app.webhook_endpoints
WHERE organisation = $1 AND disabled_at IS NULL
ORDER BY created_at, id
LIMIT $2
