-- What the provider reports of a text message: when it was asked last, and when there was nothing more to ask. One that
-- did not arrive has the operator's code as its `bounce_status`.
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS receipt_asked_at timestamptz;
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS receipt_at timestamptz;

CREATE INDEX IF NOT EXISTS deliveries_receipts_open ON app.deliveries (at)
    WHERE channel = 'sms' AND problem = '' AND receipt_at IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_texts_not_arrived ON app.deliveries (address_digest, bounced_at)
    WHERE problem = 'the text message did not arrive';
