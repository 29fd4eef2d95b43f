-- The text message did not arrive, by the operator's code $2: its notice waits again, for another way.
WITH bounced AS (
    UPDATE app.deliveries
    SET problem = 'the text message did not arrive', bounced_at = clock_timestamp(), bounce_status = $2,
        receipt_at = clock_timestamp()
    WHERE id = $1 AND channel = 'sms' AND problem = ''
    RETURNING outbox_id
)
UPDATE ledger.outbox SET delivered_at = NULL WHERE id IN (SELECT outbox_id FROM bounced) RETURNING id
