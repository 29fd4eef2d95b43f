UPDATE app.mailboxes SET paused_at = NULL, reason = $2, actor = $3 WHERE organisation = $1
