-- One attempt to post a notice; the notices in $6 have nothing more to wait for.
WITH logged AS (
    INSERT INTO app.deliveries
        (outbox_id, organisation, channel, endpoint, attempt, status_code, problem, latency_ms, answer_sealed, asked)
    SELECT $1, $2, 'webhook', $3,
           1 + (SELECT count(*) FROM app.deliveries WHERE outbox_id = $1 AND channel = 'webhook' AND endpoint = $3),
           $4, $5, $7, $8, $9
    ON CONFLICT DO NOTHING
)
UPDATE ledger.outbox SET delivered_at = now() WHERE id = ANY ($6) AND delivered_at IS NULL
