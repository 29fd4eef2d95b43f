-- What an organisation is still to be told, in order.
SELECT id, position, recipient, topic, body, created_at
FROM ledger.outbox
WHERE recipient = $1 AND delivered_at IS NULL
ORDER BY position
LIMIT $2
