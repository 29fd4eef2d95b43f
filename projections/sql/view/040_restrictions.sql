-- One row per restriction; internal, never published. An earlier one, recorded from its document, has no trainee and
-- was never proposed here.
CREATE TABLE IF NOT EXISTS restrictions (
    number           text COLLATE "C" PRIMARY KEY,
    version          bigint NOT NULL CHECK (version > 0),
    sequence         bigint NOT NULL CHECK (sequence > 0),
    campaign         text COLLATE "C" NOT NULL,
    trainee          text COLLATE "C" NOT NULL,
    person           uuid NOT NULL,
    county           text COLLATE "C" NOT NULL,
    school           text COLLATE "C" NOT NULL,
    host             text COLLATE "C" NOT NULL,
    ground           text NOT NULL,
    phase            text COLLATE "C" NOT NULL,
    closed           boolean NOT NULL,
    waiting_for      text NOT NULL,
    deadline         timestamptz,
    window_closed    boolean NOT NULL,
    service_overdue  boolean NOT NULL,
    incident_on      date,
    proposed_at      timestamptz,
    served_at        timestamptz,
    served_via       text NOT NULL,
    objection_until  timestamptz,
    objected_at      timestamptz,
    decided_at       timestamptz,
    decided_by       text NOT NULL,
    imposed_at       timestamptz,
    dropped_at       timestamptz,
    recorded_at      timestamptz,
    expired_at       timestamptz,
    starts           date,
    until            date,
    policy           text NOT NULL,
    service_failed_at timestamptz,
    waived_at        timestamptz,
    reversed_at      timestamptz,
    state            jsonb NOT NULL,
    CHECK (starts < until)
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS restrictions_by_campaign ON restrictions (campaign, number);
CREATE INDEX IF NOT EXISTS restrictions_by_county ON restrictions (county, number) WHERE county <> '';
CREATE INDEX IF NOT EXISTS restrictions_by_person ON restrictions (person);
