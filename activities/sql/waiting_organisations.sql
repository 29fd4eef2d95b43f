-- Who waits for notices, with the newest one's position, in descending order of name below $1 ('' starts at the top).
-- One probe of the index per organisation, however long the queues are.
WITH RECURSIVE waiting AS (
    (
        SELECT recipient, position
        FROM ledger.outbox
        WHERE delivered_at IS NULL AND ($1 = '' OR recipient < $1)
        ORDER BY recipient DESC, position DESC
        LIMIT 1
    )
    UNION ALL
    SELECT below.recipient, below.position
    FROM waiting, LATERAL (
        SELECT o.recipient, o.position
        FROM ledger.outbox o
        WHERE o.delivered_at IS NULL AND o.recipient < waiting.recipient
        ORDER BY o.recipient DESC, o.position DESC
        LIMIT 1
    ) below
)
SELECT recipient, position FROM waiting WHERE NOT starts_with(recipient, 'process:') LIMIT $2
