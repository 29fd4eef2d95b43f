-- One row per quota line. `issued` are the seats first issued, `seats` those after reallocation (edge case 2). How many
-- are in use is known to the ledger's counter alone.
CREATE TABLE IF NOT EXISTS quotas (
    key          text COLLATE "C" PRIMARY KEY,
    version      bigint NOT NULL CHECK (version > 0),
    sequence     bigint NOT NULL CHECK (sequence > 0),
    campaign     text COLLATE "C" NOT NULL,
    line         text COLLATE "C" NOT NULL,
    project_type text COLLATE "C" NOT NULL,
    recipient    text COLLATE "C" NOT NULL,
    issued       integer NOT NULL CHECK (issued >= 0),
    seats        integer NOT NULL CHECK (seats >= 0),
    invented     boolean NOT NULL,
    issued_at    timestamptz NOT NULL,
    UNIQUE (campaign, line)
);
