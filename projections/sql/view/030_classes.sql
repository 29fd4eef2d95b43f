-- One row per class of a host.
CREATE TABLE IF NOT EXISTS classes (
    number                text COLLATE "C" PRIMARY KEY,
    version               bigint NOT NULL CHECK (version > 0),
    sequence              bigint NOT NULL CHECK (sequence > 0),
    campaign              text COLLATE "C" NOT NULL,
    host                  text COLLATE "C" NOT NULL,
    project_type          text COLLATE "C" NOT NULL,
    starts                date NOT NULL,
    ends                  date NOT NULL,
    place                 text NOT NULL,
    mode                  text NOT NULL,
    capacity              integer NOT NULL CHECK (capacity > 0),
    phase                 text COLLATE "C" NOT NULL,
    closed                boolean NOT NULL,
    waiting_for           text NOT NULL,
    deadline              timestamptz,
    check_in_confirmed_at timestamptz,
    absences_recorded     boolean NOT NULL,
    outcomes_overdue      boolean NOT NULL,
    outcomes_escalated    boolean NOT NULL,
    check_in_late         boolean NOT NULL,
    revision              integer NOT NULL,
    centralised_days      integer NOT NULL,
    merged_into           text COLLATE "C" NOT NULL,
    cancelled_at          timestamptz,
    planned_at            timestamptz NOT NULL,
    announced_at          timestamptz,
    reported_at           timestamptz,
    state                 jsonb NOT NULL,
    CHECK (starts <= ends)
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS classes_by_campaign ON classes (campaign, number);
CREATE INDEX IF NOT EXISTS classes_by_host ON classes (host, number);
