-- What a mailbox has to do besides its queue: what was asked for, and owners who do not know of a disabled endpoint.
SELECT (
    SELECT count(*) FROM app.webhook_requests WHERE organisation = $1 AND finished_at IS NULL
) + (
    SELECT count(*) FROM app.webhook_endpoints
    WHERE organisation = $1 AND disabled_because IN ('gone', 'failing') AND owner_told_at IS NULL
)
