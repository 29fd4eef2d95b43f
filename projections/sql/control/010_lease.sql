-- Who may move the live views. Every holder has a higher token than the one before, and each batch says its token in its
-- own transaction: whoever lost the lease cannot write any more, whatever it still believes.
CREATE SCHEMA IF NOT EXISTS projection;

CREATE TABLE IF NOT EXISTS projection.lease (
    name       text PRIMARY KEY CHECK (name = 'view'),
    token      bigint NOT NULL CHECK (token >= 0),
    renewed_at timestamptz NOT NULL
) WITH (fillfactor = 20);
INSERT INTO projection.lease (name, token, renewed_at) VALUES ('view', 0, '-infinity') ON CONFLICT DO NOTHING;

-- The number of each build of the views. A number is never used again, so a name like view@7 means one build.
CREATE SEQUENCE IF NOT EXISTS projection.build_numbers AS integer;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA projection TO xunji_app;
        GRANT SELECT, UPDATE ON projection.lease TO xunji_app;
    END IF;
END
$$;
