-- Members of staff without an identity provider: the embedded stack's, and the way in while a provider is away.
CREATE TABLE IF NOT EXISTS app.accounts (
    id            text PRIMARY KEY CHECK (id ~ '^[a-z0-9]{16}$'),
    name          text NOT NULL UNIQUE CHECK (name ~ '^[a-z][a-z0-9._-]{1,63}$'),
    organisation  text NOT NULL,
    scopes        text[] CHECK (cardinality(scopes) > 0),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at   timestamptz
);

-- Who is signed in. The token itself is kept nowhere, only its SHA-256. `staff` is the account's id, or a keyed hash of
-- the provider's subject, so that nobody's name stands in events and logs.
CREATE TABLE IF NOT EXISTS app.sessions (
    token_hash   bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    staff        text NOT NULL CHECK (staff ~ '^[a-z0-9]{16}$'),
    account      text REFERENCES app.accounts,
    organisation text NOT NULL,
    role         text NOT NULL CHECK (role IN ('bureau', 'county', 'school', 'host', 'auditor')),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz
);
CREATE INDEX IF NOT EXISTS sessions_of_account ON app.sessions (account) WHERE account IS NOT NULL AND ended_at IS NULL;
CREATE INDEX IF NOT EXISTS sessions_by_age ON app.sessions (expires_at);
