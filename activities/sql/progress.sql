-- What has become of these notices so far: each endpoint that took one, and each mail that one was put into.
SELECT outbox_id, channel, endpoint, problem, first_at
FROM app.deliveries
WHERE outbox_id = ANY ($1) AND (problem = '' OR channel <> 'webhook')
