DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON app.rate_limits TO xunji_app;
        GRANT SELECT, INSERT ON app.personal_reads TO xunji_app;
        -- Accounts are an operator's to make and to end.
        GRANT SELECT ON app.accounts TO xunji_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON app.sessions TO xunji_app;
    END IF;
END
$$;
