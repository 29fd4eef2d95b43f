-- A file whose rows are commands: nominations, registrations, attendance, outcomes. What stands in it and the results are
-- sealed under a key of their own (`key_sealed`), which is sealed under the master key for this id alone: replacing the
-- master key touches no file. `about` is the campaign or the class that the file is for.
CREATE TABLE IF NOT EXISTS app.imports (
    id           uuid PRIMARY KEY REFERENCES app.operations ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind ~ '^[a-z]+(-[a-z]+)*$'),
    organisation text NOT NULL,
    role         text NOT NULL CHECK (role IN ('county', 'school', 'host')),
    key_id       text NOT NULL,
    request_id   text NOT NULL,
    about        text NOT NULL,
    digest       text NOT NULL CHECK (length(digest) = 64),
    mode         text NOT NULL CHECK (mode IN ('partial', 'atomic')),
    dry_run      boolean NOT NULL,
    hidden_rows  text NOT NULL CHECK (hidden_rows IN ('refuse', 'read')),
    received_at  timestamptz NOT NULL,
    stage        text NOT NULL DEFAULT 'check' CHECK (stage IN ('check', 'send')),
    file         jsonb NOT NULL,
    key_sealed   bytea NOT NULL,
    table_sealed bytea NOT NULL,
    succeeded    integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    not_sent     integer NOT NULL DEFAULT 0
);

-- Results of a run of rows, from the row at `first` (0 for the first one).
CREATE TABLE IF NOT EXISTS app.import_results (
    import         uuid NOT NULL REFERENCES app.imports ON DELETE CASCADE,
    first          integer NOT NULL CHECK (first >= 0),
    results_sealed bytea NOT NULL,
    PRIMARY KEY (import, first)
);
