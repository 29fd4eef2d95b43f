-- The mail $1 came back with the status $2: its notices wait again, each for another way.
WITH bounced AS (
    UPDATE app.deliveries SET problem = 'the mail came back', bounced_at = clock_timestamp(), bounce_status = $2
    WHERE endpoint = $1 AND channel <> 'webhook' AND problem = ''
    RETURNING outbox_id
)
UPDATE ledger.outbox SET delivered_at = NULL WHERE id IN (SELECT outbox_id FROM bounced) RETURNING id
