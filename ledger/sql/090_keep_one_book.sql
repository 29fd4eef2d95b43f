-- Keeps every stream in one book: the name of a stream in one book is no name of a stream in another. Kinds of streams
-- (what stands before the first slash) in `local_kinds` are left out: their names mean another thing in each book.
--
-- A unique index, so that two books that begin the same stream at once cannot both succeed. It costs one entry per
-- stream, and nothing for the events after its first append. Who calls with other kinds gets it built anew.
CREATE OR REPLACE FUNCTION ledger.keep_one_book(local_kinds text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    kept constant text := 'kinds in several books: ' || local_kinds::text;
BEGIN
    IF obj_description(to_regclass('ledger.streams_one_book'), 'pg_class') = kept THEN
        RETURN;
    END IF;
    DROP INDEX IF EXISTS ledger.streams_one_book;
    EXECUTE format(
        'CREATE UNIQUE INDEX streams_one_book ON ledger.streams (stream) '
        'WHERE split_part(stream, ''/'', 1) <> ALL (%L::text[])', local_kinds);
    EXECUTE format('COMMENT ON INDEX ledger.streams_one_book IS %L', kept);
END
$$;
