UPDATE ledger.outbox SET delivered_at = now() WHERE id = ANY ($1) AND delivered_at IS NULL
