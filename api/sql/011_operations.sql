-- Work that takes longer than a request: who asked for it, how far it is, and which process does it until when (of real
-- time). An operation whose process died is taken up by another one when its lease has run out.
CREATE TABLE IF NOT EXISTS app.operations (
    id           uuid PRIMARY KEY,
    organisation text NOT NULL,
    kind         text NOT NULL CHECK (kind ~ '^[a-z]+(-[a-z]+)*$'),
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'waiting', 'done', 'failed')),
    done         integer NOT NULL DEFAULT 0 CHECK (done >= 0),
    total        integer NOT NULL CHECK (total >= 0),
    attempts     integer NOT NULL DEFAULT 0,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    leased_until timestamptz,
    lease        uuid,
    finished_at  timestamptz,
    CHECK (done <= total),
    CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed'))),
    CHECK ((error IS NOT NULL) <= (state IN ('failed', 'waiting')))
);
CREATE INDEX IF NOT EXISTS operations_to_do ON app.operations (created_at) WHERE finished_at IS NULL;
CREATE INDEX IF NOT EXISTS operations_by_age ON app.operations (finished_at) WHERE finished_at IS NOT NULL;
