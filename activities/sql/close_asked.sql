-- What was asked for an endpoint that is not in use any more.
UPDATE app.webhook_requests SET finished_at = clock_timestamp(), problem = 'the endpoint is disabled'
WHERE organisation = $1 AND finished_at IS NULL AND endpoint <> ALL ($2::text[])
