-- Since when an endpoint fails to take a notice.
SELECT min(at) FROM app.deliveries
WHERE outbox_id = $1 AND channel = 'webhook' AND endpoint = $2 AND problem <> '' AND NOT asked
