-- The exact text of each campaign's plan. It is never changed: events name it by its digest.
CREATE SCHEMA IF NOT EXISTS app;

CREATE TABLE IF NOT EXISTS app.plans (
    campaign      text COLLATE "C" PRIMARY KEY,
    number_prefix text COLLATE "C" NOT NULL UNIQUE,
    sha256        text NOT NULL UNIQUE CHECK (length(sha256) = 64),
    body          bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 4194304),
    adopted_at    timestamptz NOT NULL DEFAULT now()
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT ON app.plans TO xunji_app;
    END IF;
END
$$;
