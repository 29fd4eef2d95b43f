-- One row per nomination. `state` is the domain's own state, from which the next event is applied; the columns beside
-- it are what people and processes ask for, `item` what a list shows of it (`trainee_view.ITEM_FIELDS`). A `…_at` column
-- says that something has happened at least once.
CREATE TABLE IF NOT EXISTS trainees (
    number              text COLLATE "C" PRIMARY KEY,
    version             bigint NOT NULL CHECK (version > 0),
    sequence            bigint NOT NULL CHECK (sequence > 0),
    campaign            text COLLATE "C" NOT NULL,
    project_type        text COLLATE "C" NOT NULL,
    county              text COLLATE "C" NOT NULL,
    school              text COLLATE "C" NOT NULL,
    person              uuid NOT NULL,
    stage               text NOT NULL,
    subject             text NOT NULL,
    position            text NOT NULL,
    rural               boolean NOT NULL,
    phase               text COLLATE "C" NOT NULL,
    closed              boolean NOT NULL,
    returned            boolean NOT NULL,
    waiting_for         text NOT NULL,
    deadline            timestamptz,
    host                text COLLATE "C" NOT NULL,
    training_class      text COLLATE "C" NOT NULL,
    starts              date,
    ends                date,
    class_revision      integer NOT NULL,
    seat_held           boolean NOT NULL,
    certificate         text COLLATE "C" NOT NULL,
    restriction         text COLLATE "C" NOT NULL,
    centralised_days    integer NOT NULL CHECK (centralised_days >= 0),
    priority            integer[] NOT NULL,
    identity_review     text NOT NULL CHECK (identity_review IN ('', 'open', 'done')),
    follow_up           text NOT NULL CHECK (follow_up IN ('', 'assigned', 'submitted', 'returned', 'overdue', 'accepted', 'lapsed')),
    submitted_at        timestamptz NOT NULL,
    county_approved_at  timestamptz,
    selected_at         timestamptz,
    enrolled_at         timestamptz,
    confirmed_at        timestamptz,
    registered_at       timestamptz,
    no_show_at          timestamptz,
    excused_at          timestamptz,
    completed_at        timestamptz,
    dismissed_at        timestamptz,
    not_completed_at    timestamptz,
    given_up_at         timestamptz,
    class_changed_at    timestamptz,
    class_cancelled_at  timestamptz,
    withdrawal_reason   text NOT NULL,
    closed_at           timestamptz CHECK ((closed_at IS NOT NULL) = closed),
    frozen_until        date,
    corrected_sequence  bigint NOT NULL,
    waiting_rank        integer,
    substitutes         text COLLATE "C" NOT NULL,
    substituted_by      text COLLATE "C" NOT NULL,
    item                text NOT NULL,
    state               jsonb NOT NULL
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS trainees_by_campaign ON trainees (campaign, number);
CREATE INDEX IF NOT EXISTS trainees_by_county ON trainees (county, number);
CREATE INDEX IF NOT EXISTS trainees_by_school ON trainees (school, number);
CREATE INDEX IF NOT EXISTS trainees_by_host ON trainees (host, number) WHERE host <> '';
CREATE INDEX IF NOT EXISTS trainees_by_class ON trainees (training_class, number) WHERE training_class <> '';
CREATE INDEX IF NOT EXISTS trainees_by_person ON trainees (person, number);
CREATE INDEX IF NOT EXISTS trainees_in_order ON trainees (campaign, project_type, county, priority, submitted_at, number)
    WHERE phase = 'nominated';
CREATE INDEX IF NOT EXISTS trainees_to_review ON trainees (number) WHERE identity_review = 'open' AND NOT closed;
CREATE INDEX IF NOT EXISTS trainees_waiting ON trainees (campaign, project_type, county, waiting_rank, priority, submitted_at, number)
    WHERE phase IN ('waitlisted', 'offered');
CREATE INDEX IF NOT EXISTS trainees_open ON trainees (campaign, number) WHERE NOT closed;
CREATE INDEX IF NOT EXISTS trainees_corrected ON trainees (campaign, corrected_sequence) WHERE corrected_sequence > 0;
