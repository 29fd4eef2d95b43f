-- At most $2 text messages of the last interval $1 whose fate is to be asked for now, and who they were for: first after
-- a minute, then whenever a quarter of a message's age has passed. Whoever takes one has asked.
UPDATE app.deliveries AS d SET receipt_asked_at = clock_timestamp()
FROM (
    SELECT id FROM app.deliveries
    WHERE channel = 'sms' AND problem = '' AND receipt_at IS NULL AND at > clock_timestamp() - $1::interval
      AND clock_timestamp() - coalesce(receipt_asked_at, at)
          >= greatest($3::interval, (clock_timestamp() - at) / 4)
    ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS due, ledger.outbox AS notice
WHERE d.id = due.id AND notice.id = d.outbox_id
RETURNING d.id, d.outbox_id, d.endpoint, d.at, d.reply, d.recipient_sealed, notice.body
