-- While a secret is being replaced both sign: the former one until `former_secret_until`.
ALTER TABLE app.webhook_endpoints ADD COLUMN IF NOT EXISTS former_secret_sealed bytea;
ALTER TABLE app.webhook_endpoints ADD COLUMN IF NOT EXISTS former_secret_until timestamptz;
-- The command that made the current secret.
ALTER TABLE app.webhook_endpoints ADD COLUMN IF NOT EXISTS rotated_by uuid;
-- Why an endpoint is not in use any more, and when its owner was told by mail, who did not do it himself.
ALTER TABLE app.webhook_endpoints ADD COLUMN IF NOT EXISTS disabled_because text
    CHECK (disabled_because IN ('owner', 'gone', 'failing'));
ALTER TABLE app.webhook_endpoints ADD COLUMN IF NOT EXISTS owner_told_at timestamptz;
CREATE INDEX IF NOT EXISTS webhook_endpoints_untold ON app.webhook_endpoints (organisation)
    WHERE disabled_because IN ('gone', 'failing') AND owner_told_at IS NULL;
