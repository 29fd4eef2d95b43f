-- One row per teacher. Nothing personal is in it: `id` is random, and what is sealed stays in the ledger.
CREATE TABLE IF NOT EXISTS persons (
    id              text COLLATE "C" PRIMARY KEY,
    version         bigint NOT NULL CHECK (version > 0),
    sequence        bigint NOT NULL CHECK (sequence > 0),
    joined_into     text COLLATE "C" NOT NULL,
    county          text COLLATE "C" NOT NULL,
    erasure         text NOT NULL CHECK (erasure IN ('', 'held', 'done')),
    registered_at   timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS persons_joined ON persons (joined_into) WHERE joined_into <> '';
CREATE INDEX IF NOT EXISTS persons_to_erase ON persons (id) WHERE erasure = 'held';
