-- Gives a new book its partition of the events. The caller holds the lock on the book's head row.
--
-- The partition is attached and not created in place, because attaching lets the appends of other books go on.
-- Appends insert through the parent, but somebody may reach the partition by its own name, so it is guarded too.
CREATE OR REPLACE FUNCTION ledger.create_partition(new_book text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    partition_name text;
BEGIN
    SELECT format('ledger.%I', 'events_' || b.number) INTO STRICT partition_name
    FROM ledger.books b WHERE b.book = new_book;
    EXECUTE format('CREATE TABLE %s (LIKE ledger.events INCLUDING ALL)', partition_name);
    EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION %s FOR VALUES IN (%L)', partition_name, new_book);
    PERFORM ledger.guard(partition_name::regclass);
END
$$;
