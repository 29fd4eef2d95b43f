UPDATE app.webhook_endpoints SET owner_told_at = clock_timestamp() WHERE id = ANY ($1) AND owner_told_at IS NULL
