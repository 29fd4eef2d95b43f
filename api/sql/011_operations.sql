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

-- A file of nominations. What stands in it and the results are sealed under a key of their own (`key_sealed`), which is
-- sealed under the master key for this id alone: replacing the master key touches no file.
CREATE TABLE IF NOT EXISTS app.nomination_imports (
    id           uuid PRIMARY KEY REFERENCES app.operations ON DELETE CASCADE,
    organisation text NOT NULL,
    role         text NOT NULL CHECK (role IN ('county', 'school')),
    key_id       text NOT NULL,
    request_id   text NOT NULL,
    campaign     text NOT NULL,
    digest       text NOT NULL CHECK (length(digest) = 64),
    mode         text NOT NULL CHECK (mode IN ('partial', 'atomic')),
    dry_run      boolean NOT NULL,
    hidden_rows  text NOT NULL CHECK (hidden_rows IN ('refuse', 'read')),
    stage        text NOT NULL DEFAULT 'check' CHECK (stage IN ('check', 'send')),
    file         jsonb NOT NULL,
    key_sealed   bytea NOT NULL,
    table_sealed bytea NOT NULL,
    succeeded    integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    not_sent     integer NOT NULL DEFAULT 0
);

-- Results of a run of rows, from the row at `first` (0 for the first one).
CREATE TABLE IF NOT EXISTS app.nomination_import_results (
    import         uuid NOT NULL REFERENCES app.nomination_imports ON DELETE CASCADE,
    first          integer NOT NULL CHECK (first >= 0),
    results_sealed bytea NOT NULL,
    PRIMARY KEY (import, first)
);
