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

-- Which keys a row stands under, by their short ids; NULL in rows from before keys had ids. What an erased person
-- leaves is his id, the time, and the code of the reason (NULL in erasures from before there were reasons).
ALTER TABLE vault.subjects
    ADD COLUMN IF NOT EXISTS master_key_id text COLLATE "C" CHECK (master_key_id ~ '^[0-9a-f]{16}$'),
    ADD COLUMN IF NOT EXISTS index_key_id text COLLATE "C" CHECK (index_key_id ~ '^[0-9a-f]{16}$'),
    ADD COLUMN IF NOT EXISTS erasure_reason text COLLATE "C" CHECK (erasure_reason ~ '^[a-z0-9][a-z0-9._-]{0,63}$');
CREATE INDEX IF NOT EXISTS subjects_by_index_key ON vault.subjects (index_key_id) WHERE blind_index IS NOT NULL;

-- Give the person who stands under one of the indexes, the current one first, or else make him; without `new_id` nobody
-- is made. Callers with any index in common take turns: so one natural key makes one person even when they disagree on
-- which key is current. `other_key` says that somebody stands under a key that the caller lacks, so that his miss
-- proves nothing and he may make nobody. Both are empty when a caller without this function came between.
CREATE OR REPLACE FUNCTION vault.subject_for(
    indexes bytea[], key_ids text[], new_id uuid, new_wrapped_key bytea, new_master_key_id text,
    OUT subject uuid, OUT other_key boolean
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(turn.lock)
    FROM (
        SELECT DISTINCT ('x' || encode(substring(i FROM 1 FOR 8), 'hex'))::bit(64)::bigint AS lock
        FROM unnest(indexes) AS i ORDER BY 1
    ) AS turn;
    other_key := false;
    -- Each statement from here on sees what was committed before the turn came.
    SELECT s.id INTO subject FROM vault.subjects s
    WHERE s.blind_index = ANY (indexes) ORDER BY array_position(indexes, s.blind_index) LIMIT 1;
    IF subject IS NOT NULL THEN
        RETURN;
    END IF;
    -- From one key to the next in the index of key ids, however many persons there are.
    WITH RECURSIVE keys AS (
        SELECT min(s.index_key_id) AS id FROM vault.subjects s WHERE s.blind_index IS NOT NULL
        UNION ALL
        SELECT (SELECT min(s.index_key_id) FROM vault.subjects s WHERE s.blind_index IS NOT NULL AND s.index_key_id > k.id)
        FROM keys k WHERE k.id IS NOT NULL
    )
    SELECT EXISTS (SELECT FROM keys k WHERE k.id <> ALL (key_ids)) INTO other_key;
    IF other_key OR new_id IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO vault.subjects AS s (id, blind_index, index_key_id, wrapped_key, master_key_id)
    VALUES (new_id, indexes[1], key_ids[1], new_wrapped_key, new_master_key_id)
    ON CONFLICT (blind_index) DO NOTHING RETURNING s.id INTO subject;
END
$$;

-- Whoever looks people up moves them to the current index key. Given by the first migration that finds the role.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT UPDATE (blind_index, index_key_id) ON vault.subjects TO xunji_app;
    END IF;
END
$$;
