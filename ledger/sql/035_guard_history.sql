-- What else is history: the answers to commands, the notices, and what is left of an erased person.
SELECT ledger.guard('ledger.commands');

DO $$
BEGIN
    -- A notice is marked as delivered; it is never taken away.
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'ledger.outbox'::regclass AND tgname = 'refuse_removal') THEN
        CREATE TRIGGER refuse_removal BEFORE DELETE OR TRUNCATE ON ledger.outbox
            FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
        ALTER TABLE ledger.outbox ENABLE ALWAYS TRIGGER refuse_removal;
    END IF;
END
$$;
