-- Begins a request that changes something, or says what became of it. `outcome` is 'begun', 'answered' (with the first
-- answer), 'in-flight', or 'other-body' when the key stands for another content.
--
-- The commit is asynchronous: a row lost in a crash only means that the request is done again, under the same command
-- id, and the ledger answers that as it did the first time.
CREATE OR REPLACE FUNCTION app.begin_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea, hold interval,
    OUT outcome text, OUT status smallint, OUT headers jsonb, OUT body bytea, OUT sealed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    known app.idempotency;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO app.idempotency (organisation, operation, key, body_digest, held_until)
    VALUES (the_organisation, the_operation, the_key, the_digest, clock_timestamp() + hold)
    ON CONFLICT ON CONSTRAINT idempotency_pkey DO NOTHING;
    IF FOUND THEN
        outcome := 'begun';
        RETURN;
    END IF;
    SELECT * INTO known FROM app.idempotency AS i
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key FOR UPDATE;
    IF NOT FOUND THEN
        -- It was abandoned between the two statements; the caller comes again.
        outcome := 'in-flight';
    ELSIF known.body_digest <> the_digest THEN
        outcome := 'other-body';
    ELSIF known.status IS NOT NULL THEN
        outcome := 'answered';
        status := known.status;
        headers := known.headers;
        body := known.body;
        sealed := known.sealed;
    ELSIF known.held_until > clock_timestamp() THEN
        outcome := 'in-flight';
    ELSE
        UPDATE app.idempotency AS i SET held_until = clock_timestamp() + hold
        WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key;
        outcome := 'begun';
    END IF;
END $$;
