-- Takes up to `wanted` tokens from a bucket that holds `burst` and gains `per_second`, after giving `returned` back.
-- With none to give, `wait_s` says when there is one. Callers of one bucket wait for each other, nobody else does.
CREATE OR REPLACE FUNCTION app.take_tokens(
    the_subject bytea, per_second double precision, burst double precision, wanted integer, returned integer,
    OUT granted integer, OUT wait_s double precision
) LANGUAGE plpgsql AS $$
DECLARE
    now_at    timestamptz;
    held      app.rate_limits;
    available double precision;
BEGIN
    INSERT INTO app.rate_limits (subject, tokens, at) VALUES (the_subject, burst, clock_timestamp())
    ON CONFLICT (subject) DO NOTHING;
    SELECT * INTO held FROM app.rate_limits AS r WHERE r.subject = the_subject FOR UPDATE;
    now_at := clock_timestamp();
    available := least(
        burst, coalesce(held.tokens, burst) + returned
            + per_second * greatest(0, extract(epoch FROM now_at - coalesce(held.at, now_at)))
    );
    granted := least(wanted, floor(available)::integer);
    wait_s := CASE WHEN granted > 0 THEN 0 ELSE (1 - available) / per_second END;
    UPDATE app.rate_limits AS r SET tokens = available - granted, at = now_at WHERE r.subject = the_subject;
END $$;
