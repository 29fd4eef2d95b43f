-- Forgets a request that came to no answer, so that it may be repeated at once.
CREATE OR REPLACE FUNCTION app.abandon_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM app.idempotency AS i
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key
      AND i.body_digest = the_digest AND i.status IS NULL;
END $$;
