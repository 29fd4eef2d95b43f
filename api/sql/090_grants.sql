-- The application's role, where the ledger's migration could make it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT, UPDATE ON app.api_keys, app.number_series, app.webhook_endpoints TO xunji_app;
        GRANT SELECT, INSERT ON app.numbers TO xunji_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON app.idempotency TO xunji_app;
    END IF;
END
$$;
