-- The log of what was sent to whom, and with what success. It holds references only: a teacher's address, name or
-- number never stands here. What a receiver answered is sealed (002_webhooks.sql).
CREATE SCHEMA IF NOT EXISTS app;

-- `endpoint` is the webhook endpoint's id, or the id of the mail that carried the notice. `problem` is empty once the
-- receiver has taken it, 'unfinished' while a mail is on its way. `first_at` is the first attempt of a row that is
-- written again.
CREATE TABLE IF NOT EXISTS app.deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox_id    uuid NOT NULL,
    organisation text COLLATE "C" NOT NULL CHECK (length(organisation) BETWEEN 1 AND 300),
    channel      text COLLATE "C" NOT NULL CHECK (channel IN ('webhook', 'mail', 'person-mail')),
    endpoint     text COLLATE "C" NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 100),
    attempt      integer NOT NULL CHECK (attempt > 0),
    status_code  integer CHECK (status_code BETWEEN 100 AND 599),
    problem      text NOT NULL CHECK (length(problem) <= 200),
    at           timestamptz NOT NULL DEFAULT now(),
    first_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (problem <> '' OR status_code BETWEEN 200 AND 299)
);

-- A mail has one row per notice in it, whose attempts are counted: a mail server that is down for a day would fill
-- the log otherwise.
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_mailed_once
    ON app.deliveries (outbox_id, channel, endpoint) WHERE channel <> 'webhook';
CREATE INDEX IF NOT EXISTS deliveries_by_notice ON app.deliveries (outbox_id);
CREATE INDEX IF NOT EXISTS deliveries_by_organisation ON app.deliveries (organisation, id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT, UPDATE ON app.deliveries TO xunji_app;
    END IF;
END
$$;
