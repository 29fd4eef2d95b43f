-- Commands that were accepted while Temporal or the workers were away, in the order in which they are to be handled.
-- What a command says is sealed under the master key, for its id alone, and forgotten once it was handled; the outcome
-- is what a request is answered with, in which nothing personal stands. Instants are real time.
CREATE TABLE IF NOT EXISTS app.inbox (
    position       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id     uuid NOT NULL UNIQUE,
    operation      uuid NOT NULL REFERENCES app.operations ON DELETE CASCADE,
    item           integer CHECK (item >= 0),
    process        text NOT NULL,
    command        text NOT NULL,
    organisation   text NOT NULL,
    key_id         text NOT NULL,
    request_id     text NOT NULL,
    content_sealed bytea,
    kept_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts       integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    not_before     timestamptz NOT NULL DEFAULT clock_timestamp(),
    problem        text,
    finished_at    timestamptz,
    outcome        jsonb,
    CHECK ((finished_at IS NULL) = (outcome IS NULL)),
    CHECK ((finished_at IS NULL) = (content_sealed IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS inbox_waiting ON app.inbox (position) WHERE finished_at IS NULL;
CREATE INDEX IF NOT EXISTS inbox_of_operation ON app.inbox (operation, item);

-- Which process handles them, and until when it may: one row.
CREATE TABLE IF NOT EXISTS app.inbox_lease (
    only_one     boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    lease        uuid,
    leased_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO app.inbox_lease DEFAULT VALUES ON CONFLICT DO NOTHING;
