-- How much each caller may still ask, shared by all processes. Not logged: a crash fills every bucket, which harms
-- nobody. The subject is a keyed hash, because it may stand for somebody's address.
CREATE UNLOGGED TABLE IF NOT EXISTS app.rate_limits (
    subject bytea PRIMARY KEY CHECK (length(subject) = 16),
    tokens  double precision NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS rate_limits_by_age ON app.rate_limits (at);
