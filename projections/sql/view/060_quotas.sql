-- One row per quota line. `issued` are the seats first issued, `seats` those after reallocation (edge case 2). How many
-- are in use is known to the ledger's counter alone. `delegated` went to lines below, `held` waits for another recipient's
-- answer; both count as used.
CREATE TABLE IF NOT EXISTS quotas (
    key          text COLLATE "C" PRIMARY KEY,
    version      bigint NOT NULL CHECK (version > 0),
    sequence     bigint NOT NULL CHECK (sequence > 0),
    campaign     text COLLATE "C" NOT NULL,
    line         text COLLATE "C" NOT NULL,
    project_type text COLLATE "C" NOT NULL,
    recipient    text COLLATE "C" NOT NULL,
    owner        text COLLATE "C" NOT NULL,
    issued       integer NOT NULL CHECK (issued >= 0),
    seats        integer NOT NULL CHECK (seats >= 0),
    invented     boolean NOT NULL,
    issued_at    timestamptz NOT NULL,
    level        text NOT NULL CHECK (level IN ('city', 'county', 'school')),
    parent       text COLLATE "C" NOT NULL,
    kind         text NOT NULL,
    delegated    integer NOT NULL CHECK (delegated >= 0),
    held         integer NOT NULL CHECK (held >= 0),
    shortfall    integer NOT NULL CHECK (shortfall >= 0),
    shortfall_reason text NOT NULL,
    phase        text NOT NULL,
    closed       boolean NOT NULL,
    waiting_for  text NOT NULL,
    deadline     timestamptz,
    state        jsonb NOT NULL,
    UNIQUE (campaign, line)
);
CREATE INDEX IF NOT EXISTS quotas_deadline ON quotas (deadline) WHERE NOT closed;
