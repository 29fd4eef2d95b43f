-- What somebody asked to be posted to these endpoints, oldest first. A test has no entry in the outbox.
SELECT r.id, r.outbox_id, r.endpoint, r.kind, r.requested_at, o.topic, o.body, o.created_at
FROM app.webhook_requests r LEFT JOIN ledger.outbox o ON o.id = r.outbox_id
WHERE r.organisation = $1 AND r.finished_at IS NULL
ORDER BY r.id
LIMIT $2
