SELECT EXISTS (SELECT FROM ledger.outbox WHERE id = $2 AND recipient = $1)
