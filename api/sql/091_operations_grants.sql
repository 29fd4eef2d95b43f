DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE
            ON app.operations, app.imports, app.import_results TO xunji_app;
    END IF;
END
$$;
