-- The tables of the ledger. Every constraint is here so that an illegal state cannot be stored by any code path.
-- Names are compared byte by byte (collation "C"): the order of keys then is the same on every machine.

-- A text range compares text in an exclusion constraint without an extension.
DO $$
BEGIN
    IF to_regtype('ledger.textrange') IS NULL THEN
        CREATE TYPE ledger.textrange AS RANGE (subtype = text, collation = "C");
    END IF;
END
$$;

-- The head row of each book. `sequence` is the last one given out; its row lock makes commit order sequence order.
-- Rows are rewritten at every append, so pages are kept mostly empty for updates in place.
CREATE TABLE IF NOT EXISTS ledger.books (
    book       ledger.book_name PRIMARY KEY,
    number     integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    sequence   ledger.natural NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

-- Columns of fixed width come first, so that rows hold no padding. `body` holds the canonical bytes; the columns
-- repeat what queries need, and verification compares them with the bytes.
CREATE TABLE IF NOT EXISTS ledger.events (
    sequence       ledger.place NOT NULL,
    version        ledger.place NOT NULL,
    recorded_at    timestamptz NOT NULL,
    effective_at   timestamptz NOT NULL,
    schema_version ledger.schema_version NOT NULL,
    id             uuid NOT NULL,
    command_id     uuid NOT NULL,
    book           text COLLATE "C" NOT NULL,
    stream         ledger.name NOT NULL,
    type           ledger.name NOT NULL,
    leaf_hash      ledger.hash NOT NULL,
    body           ledger.payload NOT NULL,
    PRIMARY KEY (book, sequence),
    UNIQUE (book, stream, version)
) PARTITION BY LIST (book);

-- The last version of each stream. A stream's row is only written under the lock of its book's head row. There is no
-- foreign key to it: its check would cost more than the rest of a new stream's first append.
CREATE TABLE IF NOT EXISTS ledger.streams (
    book    text COLLATE "C" NOT NULL,
    stream  ledger.name NOT NULL,
    version ledger.place NOT NULL,
    PRIMARY KEY (book, stream)
) WITH (fillfactor = 80);

-- What was answered to each command that was carried out.
CREATE TABLE IF NOT EXISTS ledger.commands (
    command_id   uuid PRIMARY KEY,
    content_hash ledger.hash NOT NULL,
    reply        bytea NOT NULL,
    recorded_at  timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS ledger.counters (
    key     ledger.key PRIMARY KEY,
    used    ledger.natural NOT NULL,
    maximum ledger.natural NOT NULL,
    CHECK (used <= maximum)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS ledger.holds (
    key   ledger.key PRIMARY KEY,
    owner ledger.key NOT NULL
);

-- Days barred on a key. One owner's blocks on a key never overlap; other owners' may.
CREATE TABLE IF NOT EXISTS ledger.blocks (
    key    text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
    owner  text COLLATE "C" NOT NULL CHECK (length(owner) BETWEEN 1 AND 300),
    period daterange NOT NULL CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)),
    PRIMARY KEY (key, owner, period),
    EXCLUDE USING gist (
        ledger.textrange(key, key, '[]') WITH &&,
        ledger.textrange(owner, owner, '[]') WITH &&,
        period WITH &&
    )
);

-- What recipients are still to be told, in the order of `position`.
CREATE TABLE IF NOT EXISTS ledger.outbox (
    position     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    id           uuid PRIMARY KEY,
    recipient    ledger.key NOT NULL,
    topic        ledger.key NOT NULL,
    dedup        text COLLATE "C" NOT NULL CHECK (length(dedup) <= 300),
    body         ledger.payload NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS outbox_once ON ledger.outbox (recipient, dedup) WHERE dedup <> '';
CREATE INDEX IF NOT EXISTS outbox_pending ON ledger.outbox (recipient, position) WHERE delivered_at IS NULL;
-- What a recipient pulls, page by page, delivered or not.
CREATE INDEX IF NOT EXISTS outbox_of_recipient ON ledger.outbox (recipient, position);

-- Signed roots. `frontier` holds the roots of the perfect subtrees (32 bytes each, largest first) at this size, from
-- which the next seal goes on; it adds up to `root` or it is not used.
CREATE TABLE IF NOT EXISTS ledger.checkpoints (
    book      text COLLATE "C" NOT NULL REFERENCES ledger.books,
    size      bigint NOT NULL CHECK (size > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    sealed_at timestamptz NOT NULL,
    note      text NOT NULL CHECK (length(note) BETWEEN 1 AND 2000),
    frontier  bytea NOT NULL CHECK (octet_length(frontier) % 32 = 0 AND octet_length(frontier) BETWEEN 32 AND 2048),
    PRIMARY KEY (book, size)
);
