INSERT INTO app.mailboxes (organisation, paused_at, reason, actor) VALUES ($1, clock_timestamp(), $2, $3)
ON CONFLICT (organisation) DO UPDATE
SET paused_at = coalesce(app.mailboxes.paused_at, EXCLUDED.paused_at), reason = EXCLUDED.reason, actor = EXCLUDED.actor
