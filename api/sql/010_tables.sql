-- The API's own tables. Nothing here is a fact of the domain: the ledger could do without any of them.
CREATE SCHEMA IF NOT EXISTS app;

-- The keys of organisations. The secret itself is kept nowhere, only its SHA-256.
CREATE TABLE IF NOT EXISTS app.api_keys (
    key_id       text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{16}$'),
    organisation text NOT NULL,
    role         text NOT NULL CHECK (role IN ('bureau', 'county', 'school', 'host')),
    secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz CHECK (expires_at > created_at),
    revoked_at   timestamptz,
    last_used_at timestamptz
);
-- Whose key it is, by staff number; whom he stands in for; and the first instant at which it is accepted.
ALTER TABLE app.api_keys
    ADD COLUMN IF NOT EXISTS officer text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS deputy_for text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS starts_at timestamptz CHECK (starts_at < expires_at);
CREATE INDEX IF NOT EXISTS api_keys_of_organisation ON app.api_keys (organisation, key_id);

-- One row per request that changes something. Without `status` it is in flight, and held by its process until
-- `held_until` of real time; after that another attempt may take it over, which the command ids make safe.
CREATE TABLE IF NOT EXISTS app.idempotency (
    organisation text NOT NULL,
    operation    text NOT NULL,
    key          text NOT NULL,
    body_digest  bytea NOT NULL CHECK (length(body_digest) = 32),
    held_until   timestamptz NOT NULL,
    status       smallint CHECK (status BETWEEN 200 AND 499),
    headers      jsonb,
    body         bytea,
    sealed       boolean NOT NULL DEFAULT false,
    answered_at  timestamptz,
    PRIMARY KEY (organisation, operation, key),
    CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (answered_at IS NULL))
);
CREATE INDEX IF NOT EXISTS idempotency_by_age ON app.idempotency (held_until);

-- The last counter of each series of numbers (`zz22-410181`, `zz22-c-h012`, `prior`).
CREATE TABLE IF NOT EXISTS app.number_series (
    series  text PRIMARY KEY,
    counter integer NOT NULL CHECK (counter >= 0)
);

-- The number that a command was given, so that a repeated command gets the same one. Never given out again.
CREATE TABLE IF NOT EXISTS app.numbers (
    command_id uuid PRIMARY KEY,
    series     text NOT NULL,
    counter    integer NOT NULL CHECK (counter > 0),
    UNIQUE (series, counter)
);

-- Where organisations want their notices posted. The secret is sealed under the master key, for this id alone.
CREATE TABLE IF NOT EXISTS app.webhook_endpoints (
    id            text PRIMARY KEY CHECK (id ~ '^we_[a-z0-9]{16}$'),
    organisation  text NOT NULL,
    url           text NOT NULL CHECK (length(url) <= 2000),
    secret_sealed bytea NOT NULL,
    event_types   text[] CHECK (event_types IS NULL OR cardinality(event_types) > 0),
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);
CREATE INDEX IF NOT EXISTS webhook_endpoints_of_organisation ON app.webhook_endpoints (organisation, id);
