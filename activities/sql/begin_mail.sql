-- Written before the mail is sent: whatever happens then, these notices stay together in this mail.
INSERT INTO app.deliveries (
    outbox_id, organisation, channel, endpoint, attempt, problem,
    content_digest, template, address_digest, recipient_sealed
)
SELECT notice.id, $2, $3, $4, 1, 'unfinished', $5, $6, $7, $8 FROM unnest($1::uuid[]) AS notice (id)
ON CONFLICT (outbox_id, channel, endpoint) WHERE channel <> 'webhook'
DO UPDATE SET attempt = app.deliveries.attempt + 1, problem = 'unfinished', at = now(),
    content_digest = EXCLUDED.content_digest, template = EXCLUDED.template,
    address_digest = EXCLUDED.address_digest, recipient_sealed = EXCLUDED.recipient_sealed,
    server = NULL, reply = NULL, bounced_at = NULL, bounce_status = NULL
WHERE app.deliveries.problem <> ''
