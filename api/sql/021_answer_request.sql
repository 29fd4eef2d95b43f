-- Keeps the first answer of a request; one that was answered already keeps the answer it has.
CREATE OR REPLACE FUNCTION app.answer_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea,
    the_status smallint, the_headers jsonb, the_body bytea, is_sealed boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE app.idempotency AS i
    SET status = the_status, headers = the_headers, body = the_body, sealed = is_sealed, answered_at = clock_timestamp()
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key
      AND i.body_digest = the_digest AND i.status IS NULL;
END $$;
