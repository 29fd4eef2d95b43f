-- What makes the signed roots worth something to others. Nothing here is trusted because it stands here: notes carry
-- their signatures, and whoever verifies holds a public key from elsewhere.

-- By which note each signing key followed the one before.
CREATE TABLE IF NOT EXISTS ledger.successions (
    number      integer PRIMARY KEY CHECK (number > 0),
    note        text NOT NULL CHECK (length(note) BETWEEN 1 AND 400000),
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- Which witness has countersigned which checkpoint: the line is appended to the checkpoint's note.
CREATE TABLE IF NOT EXISTS ledger.cosignatures (
    book        text COLLATE "C" NOT NULL REFERENCES ledger.books,
    size        bigint NOT NULL CHECK (size > 0),
    witness     text COLLATE "C" NOT NULL CHECK (length(witness) BETWEEN 1 AND 400),
    line        text NOT NULL CHECK (length(line) BETWEEN 1 AND 1000),
    cosigned_at timestamptz NOT NULL,
    PRIMARY KEY (book, witness, size)
);

-- As a witness of others: the longest tree that was countersigned of each log. This one is updated.
CREATE TABLE IF NOT EXISTS ledger.witnessed (
    origin      text COLLATE "C" PRIMARY KEY CHECK (length(origin) BETWEEN 1 AND 400),
    size        bigint NOT NULL CHECK (size >= 0),
    root        bytea NOT NULL CHECK (octet_length(root) = 32),
    note        text NOT NULL CHECK (length(note) <= 8000),
    cosigned_at timestamptz NOT NULL DEFAULT now()
);

SELECT ledger.guard('ledger.successions');
SELECT ledger.guard('ledger.cosignatures');

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT SELECT ON ledger.successions, ledger.cosignatures TO xunji_app;
        GRANT SELECT, INSERT, UPDATE ON ledger.witnessed TO xunji_app;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_sealer') THEN
        GRANT SELECT, INSERT ON ledger.successions, ledger.cosignatures TO xunji_sealer;
    END IF;
END
$$;
