-- Written before the mail is sent: whatever happens then, these notices stay together in this mail.
INSERT INTO app.deliveries (outbox_id, organisation, channel, endpoint, attempt, problem)
SELECT notice.id, $2, $3, $4, 1, 'unfinished' FROM unnest($1::uuid[]) AS notice (id)
ON CONFLICT (outbox_id, channel, endpoint) WHERE channel <> 'webhook'
DO UPDATE SET attempt = app.deliveries.attempt + 1, problem = 'unfinished', at = now()
WHERE app.deliveries.problem <> ''
