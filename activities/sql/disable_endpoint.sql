UPDATE app.webhook_endpoints SET disabled_at = now(), disabled_because = $2 WHERE id = $1 AND disabled_at IS NULL
