UPDATE app.webhook_endpoints SET disabled_at = now() WHERE id::text = $1 AND disabled_at IS NULL
