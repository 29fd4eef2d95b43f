-- What is known of each attempt to post a notice: how long it took, and the beginning of the answer, sealed under the
-- master key because nobody knows what a receiver writes. `asked` marks what was sent because somebody asked for it.
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS latency_ms integer CHECK (latency_ms >= 0);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS answer_sealed bytea CHECK (octet_length(answer_sealed) <= 4096);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS asked boolean NOT NULL DEFAULT false;

-- Every webhook attempt has its row; by itself a notice reaches an endpoint once, and again only when it was asked for.
DROP INDEX IF EXISTS app.deliveries_posted_once;
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_posted_by_itself
    ON app.deliveries (outbox_id, endpoint) WHERE channel = 'webhook' AND problem = '' AND NOT asked;
CREATE INDEX IF NOT EXISTS deliveries_by_endpoint ON app.deliveries (organisation, endpoint, id);
CREATE INDEX IF NOT EXISTS deliveries_with_answers ON app.deliveries (at) WHERE answer_sealed IS NOT NULL;

-- What somebody asked to be posted: a notice once more, or a test message, which stands in no outbox. A test is tried
-- once; a notice until it is taken, given up or the endpoint is disabled.
CREATE TABLE IF NOT EXISTS app.webhook_requests (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id   uuid NOT NULL,
    organisation text COLLATE "C" NOT NULL CHECK (length(organisation) BETWEEN 1 AND 300),
    endpoint     text COLLATE "C" NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 100),
    outbox_id    uuid NOT NULL,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('redelivery', 'test')),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    problem      text NOT NULL DEFAULT '' CHECK (length(problem) <= 200),
    UNIQUE (command_id, outbox_id)
);
CREATE INDEX IF NOT EXISTS webhook_requests_open ON app.webhook_requests (organisation, id) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS webhook_requests_once
    ON app.webhook_requests (endpoint, outbox_id) WHERE finished_at IS NULL;

-- Mailboxes that an operator has stopped. A row stays when it goes on again: `paused_at` is empty then.
CREATE TABLE IF NOT EXISTS app.mailboxes (
    organisation text COLLATE "C" PRIMARY KEY CHECK (length(organisation) BETWEEN 1 AND 300),
    paused_at    timestamptz,
    reason       text NOT NULL DEFAULT '' CHECK (length(reason) <= 200),
    actor        text NOT NULL DEFAULT '' CHECK (length(actor) <= 400)
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT SELECT, INSERT, UPDATE ON app.webhook_requests, app.mailboxes TO xunji_app;
    END IF;
END
$$;
