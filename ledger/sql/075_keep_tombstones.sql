-- A person is erased for ever, and that he was is not forgotten: no row of the vault is deleted, and one that is a
-- tombstone is not changed.
CREATE OR REPLACE FUNCTION vault.keep_tombstones() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what is left of an erased person is kept, and nobody is deleted',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'vault.subjects'::regclass AND tgname = 'keep_tombstones') THEN
        CREATE TRIGGER keep_tombstones BEFORE UPDATE ON vault.subjects
            FOR EACH ROW WHEN (OLD.erased_at IS NOT NULL AND NEW.* IS DISTINCT FROM OLD.*)
            EXECUTE FUNCTION vault.keep_tombstones();
        CREATE TRIGGER keep_subjects BEFORE DELETE OR TRUNCATE ON vault.subjects
            FOR EACH STATEMENT EXECUTE FUNCTION vault.keep_tombstones();
        ALTER TABLE vault.subjects ENABLE ALWAYS TRIGGER keep_tombstones, ENABLE ALWAYS TRIGGER keep_subjects;
    END IF;
END
$$;
