-- How far each book has been read. The view's rows and this sequence always change in one transaction. `token` is that
-- of the lease under which it was moved, 0 when the build was filled beside the live one. It has no default, so that a
-- projector of a release that knew no lease cannot write here.
CREATE TABLE IF NOT EXISTS checkpoints (
    book     text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    moved_at timestamptz NOT NULL DEFAULT now(),
    token    bigint NOT NULL CHECK (token >= 0)
) WITH (fillfactor = 20);

-- Events that could not be applied, with the reason. Later events of such a stream are parked as well, because a row
-- that lacks one of its events would tell a story that did not happen.
CREATE TABLE IF NOT EXISTS parked (
    book      text COLLATE "C" NOT NULL,
    sequence  bigint NOT NULL CHECK (sequence > 0),
    stream    text COLLATE "C" NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    type      text COLLATE "C" NOT NULL,
    reason    text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (book, sequence)
);
CREATE INDEX IF NOT EXISTS parked_by_stream ON parked (book, stream);
