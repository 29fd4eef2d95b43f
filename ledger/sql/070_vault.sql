-- Keys of persons. What is sealed under a key stands in events; destroying the key erases the person from them.
-- The key is wrapped by a master key and the index is keyed: neither says anything without keys that are not here.
CREATE SCHEMA IF NOT EXISTS vault;

CREATE TABLE IF NOT EXISTS vault.subjects (
    id           uuid PRIMARY KEY,
    blind_index  bytea UNIQUE CHECK (octet_length(blind_index) = 32),
    wrapped_key  bytea CHECK (octet_length(wrapped_key) = 60),
    created_at   timestamptz NOT NULL DEFAULT now(),
    erased_at    timestamptz,
    CHECK ((erased_at IS NULL) = (blind_index IS NOT NULL)),
    CHECK ((erased_at IS NULL) = (wrapped_key IS NOT NULL))
);
