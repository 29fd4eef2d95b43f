-- Text messages are a channel like mail. The wider rule holds for what stands there already, so nothing is looked through.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'app.deliveries'::regclass AND conname = 'deliveries_channel_check'
          AND pg_get_constraintdef(oid) LIKE '%sms%'
    ) THEN
        ALTER TABLE app.deliveries DROP CONSTRAINT deliveries_channel_check;
        ALTER TABLE app.deliveries ADD CONSTRAINT deliveries_channel_check
            CHECK (channel IN ('webhook', 'mail', 'person-mail', 'sms')) NOT VALID;
    END IF;
END
$$;
