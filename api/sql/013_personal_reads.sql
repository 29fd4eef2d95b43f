-- Who has read what about whom: a row per answer that showed something of persons, written before the answer leaves.
-- Only added to. `persons` are their random ids; `object` is what the address named, never personal itself.
CREATE TABLE IF NOT EXISTS app.personal_reads (
    sequence     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    organisation text NOT NULL,
    role         text NOT NULL,
    reader       text NOT NULL,
    operation    text NOT NULL CHECK (operation <> ''),
    object       text NOT NULL,
    persons      uuid[] NOT NULL,
    rows         integer NOT NULL CHECK (rows >= cardinality(persons)),
    request_id   text NOT NULL
);
CREATE INDEX IF NOT EXISTS personal_reads_by_person ON app.personal_reads USING gin (persons);
CREATE INDEX IF NOT EXISTS personal_reads_by_organisation ON app.personal_reads (organisation, sequence);
SELECT ledger.guard('app.personal_reads');
