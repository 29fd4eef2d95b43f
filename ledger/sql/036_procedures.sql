-- A closed book has its last sequence for ever: whatever would move its head row, by whatever path, breaks this
-- constraint. `ledger.errors.BookClosed` is told from any other refusal by the constraint's name.
-- `detached_at` says since when the book's events stand elsewhere; see `ledger.procedures`.
DO $$
BEGIN
    -- Looked for first: even where there is nothing to do, ALTER TABLE would wait for every append.
    IF NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'ledger.books'::regclass AND conname = 'book_is_closed'
    ) THEN
        ALTER TABLE ledger.books
            ADD COLUMN closed_size bigint,
            ADD COLUMN detached_at timestamptz CHECK (detached_at IS NULL OR closed_size IS NOT NULL),
            ADD CONSTRAINT book_is_closed CHECK (closed_size IS NULL OR sequence = closed_size);
    END IF;
END
$$;

-- What operators did with whole books, each in the transaction of the act itself. `actor` is an account, not a name;
-- `place` is where a detached book's export was put.
CREATE TABLE IF NOT EXISTS ledger.procedures (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book   text COLLATE "C" NOT NULL REFERENCES ledger.books,
    act    text COLLATE "C" NOT NULL CHECK (act IN ('closed', 'detached', 'attached')),
    actor  text COLLATE "C" NOT NULL CHECK (actor ~ '^[a-z0-9][a-z0-9._:@/-]{0,99}$'),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    size   bigint NOT NULL CHECK (size > 0),
    root   bytea CHECK (octet_length(root) = 32),
    place  text NOT NULL DEFAULT '' CHECK (length(place) <= 1000),
    CHECK ((act = 'closed') = (root IS NULL)),
    CHECK ((act = 'detached') = (place <> ''))
);
CREATE INDEX IF NOT EXISTS procedures_by_book ON ledger.procedures (book, number);
CREATE UNIQUE INDEX IF NOT EXISTS closed_once ON ledger.procedures (book) WHERE act = 'closed';

SELECT ledger.guard('ledger.procedures');
