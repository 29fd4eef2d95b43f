-- The short way for appends that need no judging: one book, one stream each, no claims. They are stored as if all of
-- them passed; whatever shows that one does not (an id that was used, a version that has moved, a book that is not
-- there) raises XJ001, nothing of the call is stored, and the caller sends the same appends to `ledger.append`, which
-- finds out which one and why. Locks are taken in the same order as there: the head row, ids of commands, the outbox.
--
-- A stream comes once: `stream_befores` is the version that its first append expects, `stream_afters` the one that its
-- last append leaves. Events come in the order of their sequences. `content_hashes` are 32 bytes each, end to end.
CREATE OR REPLACE FUNCTION ledger.append_plain(
    IN book_name text, IN command_ids uuid[], IN content_hashes bytea, IN replies bytea[], IN recorded_ats timestamptz[],
    IN stream_names text[], IN stream_befores bigint[], IN stream_afters bigint[],
    IN event_appends integer[], IN event_streams integer[], IN event_versions bigint[], IN event_ids uuid[],
    IN event_types text[], IN event_schema_versions integer[], IN event_effective_ats timestamptz[],
    IN event_heads text[], IN event_tails text[],
    IN outbox_appends integer[], IN outbox_ids uuid[], IN outbox_recipients text[], IN outbox_topics text[],
    IN outbox_dedups text[], IN outbox_bodies bytea[],
    OUT last_sequence bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    events  integer := cardinality(event_ids);
    before  bigint;
    stored  bigint;
    changed bigint;
BEGIN
    UPDATE ledger.books h SET sequence = h.sequence + events
    WHERE h.book = book_name AND h.sequence > 0
    RETURNING h.sequence INTO last_sequence;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the book has no events yet' USING ERRCODE = 'XJ001';
    END IF;
    before := last_sequence - events;

    INSERT INTO ledger.commands (command_id, content_hash, reply, recorded_at)
    SELECT c.id, substring(content_hashes FROM 32 * c.position::integer - 31 FOR 32), c.reply, c.recorded_at
    FROM unnest(command_ids, replies, recorded_ats) WITH ORDINALITY AS c (id, reply, recorded_at, position)
    ORDER BY c.id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored <> cardinality(command_ids) THEN
        RAISE EXCEPTION 'a command id was used before' USING ERRCODE = 'XJ001';
    END IF;

    stored := 0;
    IF 0 = ANY (stream_befores) THEN
        INSERT INTO ledger.streams (book, stream, version)
        SELECT book_name, s.name, s.after
        FROM unnest(stream_names, stream_befores, stream_afters) AS s (name, before, after)
        WHERE s.before = 0
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS stored = ROW_COUNT;
    END IF;
    IF stored < cardinality(stream_names) THEN
        UPDATE ledger.streams h SET version = s.after
        FROM (
            -- The book stands beside each stream, so that the planner has to look streams up one by one.
            SELECT book_name AS book, x.* FROM unnest(stream_names, stream_befores, stream_afters) AS x (name, before, after)
            OFFSET 0
        ) s
        WHERE h.book = s.book AND h.stream = s.name AND s.before > 0 AND h.version = s.before;
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF stored + changed <> cardinality(stream_names) THEN
            RAISE EXCEPTION 'a stream has another version' USING ERRCODE = 'XJ001';
        END IF;
    END IF;

    INSERT INTO ledger.events (sequence, version, recorded_at, effective_at, schema_version, id, command_id, book, stream,
                               type, leaf_hash, body)
    SELECT before + e.place, e.version, recorded_ats[e.append], coalesce(e.effective_at, recorded_ats[e.append]),
           e.schema_version, e.id, command_ids[e.append], book_name, stream_names[e.stream], e.type,
           sha256('\x00'::bytea || e.body), e.body
    FROM (
        SELECT x.*, convert_to(x.head || (before + x.place) || x.tail, 'UTF8') AS body
        FROM unnest(event_appends, event_streams, event_versions, event_ids, event_types, event_schema_versions,
                    event_effective_ats, event_heads, event_tails) WITH ORDINALITY
             AS x (append, stream, version, id, type, schema_version, effective_at, head, tail, place)
        WHERE x.version > stream_befores[x.stream] AND x.version <= stream_afters[x.stream]
        OFFSET 0
    ) e;
    GET DIAGNOSTICS stored = ROW_COUNT;
    -- No two events of a stream have one version, so as many as the streams grew by, all within, leave no gap.
    IF stored <> events OR events <> (SELECT sum(s.after - s.before) FROM unnest(stream_befores, stream_afters) AS s (before, after)) THEN
        RAISE EXCEPTION 'the events do not add up to their streams' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF cardinality(outbox_ids) > 0 THEN
        INSERT INTO ledger.outbox (id, recipient, topic, dedup, body, created_at)
        SELECT o.id, o.recipient, o.topic, o.dedup, o.body, recorded_ats[o.append]
        FROM unnest(outbox_appends, outbox_ids, outbox_recipients, outbox_topics, outbox_dedups, outbox_bodies)
             WITH ORDINALITY AS o (append, id, recipient, topic, dedup, body, position)
        ORDER BY o.position
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
