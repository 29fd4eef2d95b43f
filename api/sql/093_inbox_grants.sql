DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON app.inbox TO xunji_app;
        GRANT SELECT, UPDATE ON app.inbox_lease TO xunji_app;
    END IF;
END
$$;
