-- Whose the rows are that the API reads and writes for its callers; `projections/sql/app/020_acting.sql` says how. What is
-- not named here the callers' role may not touch: who calls is found out before there is a caller (accounts, sessions,
-- rate limits), and the rest is nobody's (numbers, plans, leases).
SELECT app.protect('app.api_keys', 'SELECT, INSERT, UPDATE', $$
    organisation = (SELECT app.acting_organisation()) OR (SELECT app.acting_role()) = 'bureau'
    OR ((SELECT app.acting_role()) = 'county' AND app.county_of(organisation) = (SELECT app.acting_organisation()))
$$);

SELECT app.protect('app.idempotency', 'SELECT, INSERT, UPDATE, DELETE', $$
    organisation = (SELECT app.acting_organisation())
$$);

SELECT app.protect('app.webhook_endpoints', 'SELECT, INSERT, UPDATE', $$
    organisation = (SELECT app.acting_organisation())
$$);

-- Work is begun for a caller and carried on by the processes.
SELECT app.protect('app.operations', 'SELECT, INSERT', $$ organisation = (SELECT app.acting_organisation()) $$);
SELECT app.protect('app.inbox', 'SELECT', $$ organisation = (SELECT app.acting_organisation()) $$);
SELECT app.protect('app.imports', 'SELECT, INSERT', $$ organisation = (SELECT app.acting_organisation()) $$);
SELECT app.protect('app.import_results', 'SELECT', $$
    EXISTS (SELECT FROM app.imports i WHERE i.id = import_results.import)
$$);

-- The trail is written for many callers at once, by the process.
SELECT app.protect('app.personal_reads', 'SELECT', $$ (SELECT app.acting_role()) IN ('bureau', 'auditor') $$);

-- The ledger knows no tenants; the feed and the evidence of service are read from its outbox.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller') THEN
        GRANT USAGE ON SCHEMA ledger TO xunji_caller;
    END IF;
END
$$;
SELECT app.protect('ledger.outbox', 'SELECT', $$
    recipient = (SELECT app.acting_organisation()) OR (SELECT app.acting_role()) = 'bureau'
    OR ((SELECT app.acting_role()) = 'county' AND app.county_of(recipient) = (SELECT app.acting_organisation()))
$$);
