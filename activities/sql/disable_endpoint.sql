UPDATE app.webhook_endpoints SET disabled_at = now() WHERE id = $1 AND disabled_at IS NULL
