-- How the mail fared; the notices in $5 have nothing more to wait for.
WITH finished AS (
    UPDATE app.deliveries SET status_code = $3, problem = $4, server = $6, reply = $7, at = now()
    WHERE outbox_id = ANY ($1) AND channel <> 'webhook' AND endpoint = $2 AND problem <> ''
)
UPDATE ledger.outbox SET delivered_at = now() WHERE id = ANY ($5) AND delivered_at IS NULL
