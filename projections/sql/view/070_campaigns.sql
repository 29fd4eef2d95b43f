-- One row per campaign, and one per bulletin that it issued.
CREATE TABLE IF NOT EXISTS campaigns (
    id          text COLLATE "C" PRIMARY KEY,
    version     bigint NOT NULL CHECK (version > 0),
    sequence    bigint NOT NULL CHECK (sequence > 0),
    phase       text COLLATE "C" NOT NULL,
    closed      boolean NOT NULL,
    waiting_for text NOT NULL,
    deadline    timestamptz,
    plan_sha256 text NOT NULL CHECK (length(plan_sha256) = 64),
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz CHECK ((closed_at IS NOT NULL) = closed),
    state       jsonb NOT NULL
) WITH (fillfactor = 60);

CREATE TABLE IF NOT EXISTS bulletins (
    key       text COLLATE "C" PRIMARY KEY,
    sequence  bigint NOT NULL CHECK (sequence > 0),
    campaign  text COLLATE "C" NOT NULL,
    kind      text NOT NULL,
    period    text COLLATE "C" NOT NULL,
    version   integer NOT NULL CHECK (version > 0),
    reason    text NOT NULL,
    as_of     timestamptz NOT NULL,
    as_of_sequence bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    rows      jsonb NOT NULL,
    UNIQUE (campaign, kind, period, version)
);
