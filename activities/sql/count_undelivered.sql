-- How long an organisation's queue is, counted up to a limit.
SELECT count(*) FROM (
    SELECT FROM ledger.outbox WHERE recipient = $1 AND delivered_at IS NULL LIMIT $2
) queue
