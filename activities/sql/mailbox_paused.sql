SELECT paused_at, reason, actor FROM app.mailboxes WHERE organisation = $1 AND paused_at IS NOT NULL
