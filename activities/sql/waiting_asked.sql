-- Who has something to be done besides the notices of the outbox, with the newest request.
SELECT organisation, max(id) AS position FROM (
    SELECT organisation, id FROM app.webhook_requests WHERE finished_at IS NULL
    UNION ALL
    SELECT organisation, 0 FROM app.webhook_endpoints
    WHERE disabled_because IN ('gone', 'failing') AND owner_told_at IS NULL
) waiting
GROUP BY organisation
ORDER BY organisation
LIMIT $1
