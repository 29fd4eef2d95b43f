SELECT EXISTS (SELECT FROM app.webhook_endpoints WHERE id = $2 AND organisation = $1 AND disabled_at IS NULL)
