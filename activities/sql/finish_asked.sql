UPDATE app.webhook_requests SET finished_at = clock_timestamp(), problem = $2 WHERE id = $1 AND finished_at IS NULL
