-- A book that was closed stays closed, and its head row stays.
CREATE OR REPLACE FUNCTION ledger.keep_closed() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.closed_size IS DISTINCT FROM OLD.closed_size THEN
        RAISE EXCEPTION 'the book % is closed, and stays so', OLD.book USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

DO $$
BEGIN
    -- The conditions keep these away from the head rows of open books, which every append rewrites.
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'ledger.books'::regclass AND tgname = 'keep_closed') THEN
        CREATE TRIGGER keep_closed BEFORE UPDATE OF closed_size OR DELETE ON ledger.books
            FOR EACH ROW WHEN (OLD.closed_size IS NOT NULL) EXECUTE FUNCTION ledger.keep_closed();
        ALTER TABLE ledger.books ENABLE ALWAYS TRIGGER keep_closed;
    END IF;
END
$$;
