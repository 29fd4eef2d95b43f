-- Whose the rows are, for the API's reads on behalf of a caller (`projections/sql/app/020_acting.sql`): an organisation's
-- own, and of a county those of its schools. Whoever delivers sees everything.
SELECT app.protect('app.deliveries', 'SELECT', $$
    organisation = (SELECT app.acting_organisation()) OR (SELECT app.acting_role()) = 'bureau'
    OR ((SELECT app.acting_role()) = 'county' AND app.county_of(organisation) = (SELECT app.acting_organisation()))
$$);
SELECT app.protect('app.webhook_requests', 'SELECT, INSERT', $$
    organisation = (SELECT app.acting_organisation())
$$);
SELECT app.protect('app.mailboxes', 'SELECT', $$ (SELECT app.acting_role()) = 'bureau' $$);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller') THEN
        GRANT EXECUTE ON FUNCTION app.request_redelivery TO xunji_caller;
    END IF;
END
$$;
