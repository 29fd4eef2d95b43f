-- The application's role keeps the views up to date and reads them. Making and replacing them needs the owner.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO xunji_app', current_schema());
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO xunji_app', current_schema());
    END IF;
END
$$;
