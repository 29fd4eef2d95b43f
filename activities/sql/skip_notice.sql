-- An operator's decision: the notice goes no way any more, not even one that somebody asked for.
WITH closed AS (
    UPDATE app.webhook_requests SET finished_at = clock_timestamp(), problem = 'skipped'
    WHERE organisation = $1 AND outbox_id = $2 AND finished_at IS NULL
)
UPDATE ledger.outbox SET delivered_at = now() WHERE id = $2 AND recipient = $1 AND delivered_at IS NULL
