-- Puts the refusing triggers on a table. They fire per statement, so that a change that meets no row is refused too,
-- and always, whatever the session's replication role says.
CREATE OR REPLACE FUNCTION ledger.guard(guarded regclass) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = guarded AND tgname = 'refuse_change') THEN
        RETURN;
    END IF;
    EXECUTE format(
        'CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', guarded);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_change', guarded);
END
$$;

SELECT ledger.guard('ledger.events');
SELECT ledger.guard('ledger.checkpoints');
