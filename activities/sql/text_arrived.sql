-- Nothing more is asked about this text message: it has arrived, or nobody will know.
UPDATE app.deliveries SET receipt_at = clock_timestamp() WHERE id = $1 AND receipt_at IS NULL
