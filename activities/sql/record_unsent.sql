-- A mail that was not tried, and why; said once per notice.
INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, problem) VALUES ($1, $2, $3, $4, 1, $5)
ON CONFLICT (outbox_id, channel, endpoint) WHERE channel <> 'webhook' DO NOTHING
