-- What proves how a notice was served: the mail server that took it and what it answered (with every address taken out),
-- the SHA-256 of what was sent, and the version of the templates. The teacher's address is sealed under his own key, so
-- that it goes with him. `address_digest` tells whether an address was changed since: the SHA-256 of the sealed record,
-- or of an organisation's address. `bounce_status` is the code (RFC 3463) with which a mail came back at `bounced_at`.
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS server text CHECK (length(server) <= 300);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS reply text CHECK (length(reply) <= 300);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS content_digest bytea CHECK (octet_length(content_digest) = 32);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS template text COLLATE "C" CHECK (length(template) <= 40);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS recipient_sealed text CHECK (length(recipient_sealed) <= 2000);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS address_digest bytea CHECK (octet_length(address_digest) = 32);
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS bounced_at timestamptz;
ALTER TABLE app.deliveries ADD COLUMN IF NOT EXISTS bounce_status text COLLATE "C" CHECK (length(bounce_status) <= 20);

CREATE INDEX IF NOT EXISTS deliveries_by_mail ON app.deliveries (endpoint) WHERE channel <> 'webhook';
CREATE INDEX IF NOT EXISTS deliveries_refused ON app.deliveries (address_digest, at)
    WHERE problem IN ('the recipient was refused', 'the mail came back');
