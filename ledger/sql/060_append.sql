-- The one way to write: many appends in one call, one outcome for each, one commit for all that pass.
--
-- Parallel arrays describe the appends; positions count from 1. Everything is read and written in sets; only the
-- judging walks through the appends. Locks are taken in one order by everybody, so that no two calls wait for each
-- other: the head rows by book, the claim keys by stripe, then new command ids and outbox entries. A stream has no lock of its own, since its book's head row covers it. Claim keys are locked by
-- advisory locks, so that a key without a row is locked too: a Clear and a Block on one key never pass each other.
--
-- Each command id comes once per call, and the books come in ascending order. The caller spells the events; the sequence goes between their two halves, and
-- the leaf hash (RFC 6962) is taken over exactly what is stored.
--
-- Outcomes: appended | duplicate (with the first reply) | reused | conflict | refused (with details as JSON).
-- `write_lasts` is the last sequence of each write that passed, NULL for the others.
--
-- The planner settings fix the plan: lookups by index for a few rows, whatever the statistics of a young table say.
CREATE OR REPLACE FUNCTION ledger.append(
    IN command_ids uuid[], IN content_hashes bytea[], IN replies bytea[], IN recorded_ats timestamptz[],
    IN book_names text[], IN stream_books integer[], IN stream_names text[],
    IN write_appends integer[], IN write_streams integer[], IN write_expected bigint[], IN write_counts integer[],
    IN event_writes integer[], IN event_places integer[], IN event_ids uuid[], IN event_types text[],
    IN event_schema_versions integer[], IN event_effective_ats timestamptz[],
    IN event_heads text[], IN event_tails text[],
    IN claim_appends integer[], IN claim_kinds text[], IN claim_keys integer[], IN claim_pairs integer[],
    IN claim_numbers bigint[], IN claim_owners text[], IN claim_froms date[], IN claim_untils date[],
    IN counter_keys text[], IN hold_keys text[], IN block_keys text[], IN pair_keys integer[], IN pair_owners text[],
    IN outbox_appends integer[], IN outbox_ids uuid[], IN outbox_recipients text[], IN outbox_topics text[],
    IN outbox_dedups text[], IN outbox_bodies bytea[],
    OUT outcomes text[], OUT details text[], OUT first_replies bytea[], OUT write_lasts bigint[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    book_befores    bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(book_names)]);
    book_afters     bigint[];
    stream_befores  bigint[];
    stream_afters   bigint[];
    counter_useds   bigint[];
    counter_maximums bigint[];
    counter_afters  bigint[];
    maximum_afters  bigint[];
    hold_befores    text[];
    hold_afters     text[];
    pair_befores    datemultirange[];
    pair_afters     datemultirange[];
    rest_days       datemultirange[];
    key_days        datemultirange[];
    found_row       record;
    expected        bigint := 0;
    stored          bigint;
BEGIN
    outcomes := array_fill(NULL::text, ARRAY[cardinality(command_ids)]);
    details := outcomes;

    -- Locks, in the one order. A new book's head row is locked by making it: whoever else makes it waits for us.
    FOR b IN 1 .. cardinality(book_names) LOOP
        IF book_names[b] <= book_names[b - 1] COLLATE "C" THEN
            RAISE EXCEPTION 'the books are not in order' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        SELECT h.sequence INTO stored FROM ledger.books h WHERE h.book = book_names[b] FOR UPDATE;
        IF NOT FOUND THEN
            INSERT INTO ledger.books (book, created_at) VALUES (book_names[b], recorded_ats[1]) ON CONFLICT DO NOTHING;
            SELECT h.sequence INTO STRICT stored FROM ledger.books h WHERE h.book = book_names[b] FOR UPDATE;
        END IF;
        book_befores[b] := stored;
    END LOOP;
    IF cardinality(claim_kinds) > 0 THEN
        PERFORM ledger.lock_claims(counter_keys || hold_keys || block_keys);
    END IF;

    -- What the commands, streams and claim keys stand at, now that nobody else can move them.
    FOR found_row IN
        SELECT c.position, k.content_hash, k.reply
        FROM unnest(command_ids) WITH ORDINALITY AS c (id, position) JOIN ledger.commands k ON k.command_id = c.id
    LOOP
        IF found_row.content_hash = content_hashes[found_row.position] THEN
            IF first_replies IS NULL THEN
                first_replies := array_fill(NULL::bytea, ARRAY[cardinality(command_ids)]);
            END IF;
            outcomes[found_row.position] := 'duplicate';
            first_replies[found_row.position] := found_row.reply;
        ELSE
            outcomes[found_row.position] := 'reused';
        END IF;
    END LOOP;
    stream_befores := ARRAY(
        SELECT coalesce(h.version, 0)
        FROM unnest(stream_books, stream_names) WITH ORDINALITY AS s (book, name, position)
        LEFT JOIN ledger.streams h ON h.book = book_names[s.book] AND h.stream = s.name
        ORDER BY s.position);
    IF cardinality(claim_kinds) > 0 THEN
        SELECT * INTO counter_useds, counter_maximums, hold_befores, pair_befores, rest_days, key_days
        FROM ledger.read_claims(counter_keys, hold_keys, block_keys, pair_keys, pair_owners);
    END IF;

    SELECT * INTO outcomes, details, book_afters, stream_afters, write_lasts,
                  counter_afters, maximum_afters, hold_afters, pair_afters, key_days
    FROM ledger.judge(
        outcomes, details, write_appends, write_streams, write_expected, write_counts, stream_books, stream_names,
        book_befores, stream_befores, claim_appends, claim_kinds, claim_keys, claim_pairs, claim_numbers, claim_owners,
        claim_froms, claim_untils, counter_useds, counter_maximums, hold_befores, pair_keys, pair_befores,
        rest_days, key_days);

    -- Everything that passed is stored in sets.
    FOR b IN 1 .. cardinality(book_names) LOOP
        IF book_afters[b] > book_befores[b] THEN
            expected := expected + book_afters[b] - book_befores[b];
            UPDATE ledger.books h SET sequence = book_afters[b] WHERE h.book = book_names[b];
            IF book_befores[b] = 0 THEN
                PERFORM ledger.create_partition(book_names[b]);
            END IF;
        ELSIF book_befores[b] = 0 THEN
            -- Nothing was appended to a book that is only made by its first event.
            DELETE FROM ledger.books h WHERE h.book = book_names[b];
        END IF;
    END LOOP;
    INSERT INTO ledger.events (sequence, version, recorded_at, effective_at, schema_version, id, command_id, book, stream,
                               type, leaf_hash, body)
    SELECT e.sequence, write_expected[e.write] + e.place, recorded_ats[e.append],
           coalesce(e.effective_at, recorded_ats[e.append]), e.schema_version, e.id, command_ids[e.append],
           book_names[stream_books[e.stream]], stream_names[e.stream], e.type,
           sha256('\x00'::bytea || e.body), e.body
    FROM (
        SELECT y.*, convert_to(y.head || y.sequence || y.tail, 'UTF8') AS body
        FROM (
            SELECT x.*, write_lasts[x.write] - write_counts[x.write] + x.place AS sequence,
                   write_appends[x.write] AS append, write_streams[x.write] AS stream
            FROM unnest(event_writes, event_places, event_ids, event_types, event_schema_versions, event_effective_ats,
                        event_heads, event_tails)
                 AS x (write, place, id, type, schema_version, effective_at, head, tail)
            WHERE write_lasts[x.write] IS NOT NULL
        ) y
        OFFSET 0
    ) e;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored <> expected THEN
        -- A caller that announces more events than it brings would leave a gap.
        RAISE EXCEPTION 'the events do not add up to their writes' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF 0 = ANY (stream_befores) THEN
        INSERT INTO ledger.streams (book, stream, version)
        SELECT book_names[s.book], s.name, s.after
        FROM unnest(stream_books, stream_names, stream_befores, stream_afters) AS s (book, name, before, after)
        WHERE s.before = 0 AND s.after > 0;
    END IF;
    IF 0 < ANY (stream_befores) THEN
        UPDATE ledger.streams h SET version = s.after
        FROM unnest(stream_books, stream_names, stream_befores, stream_afters) AS s (book, name, before, after)
        WHERE h.book = book_names[s.book] AND h.stream = s.name AND s.before > 0 AND s.after > s.before;
    END IF;
    IF cardinality(claim_kinds) > 0 THEN
        PERFORM ledger.store_claims(
            counter_keys, counter_useds, counter_maximums, counter_afters, maximum_afters,
            hold_keys, hold_befores, hold_afters, block_keys, pair_keys, pair_owners, pair_befores, pair_afters);
    END IF;
    INSERT INTO ledger.commands (command_id, content_hash, reply, recorded_at)
    SELECT c.id, c.hash, c.reply, c.recorded_at
    FROM unnest(command_ids, content_hashes, replies, recorded_ats, outcomes) AS c (id, hash, reply, recorded_at, outcome)
    WHERE c.outcome = 'appended'
    ORDER BY c.id;
    IF cardinality(outbox_ids) > 0 THEN
        INSERT INTO ledger.outbox (id, recipient, topic, dedup, body, created_at)
        SELECT o.id, o.recipient, o.topic, o.dedup, o.body, recorded_ats[o.append]
        FROM unnest(outbox_appends, outbox_ids, outbox_recipients, outbox_topics, outbox_dedups, outbox_bodies)
             WITH ORDINALITY AS o (append, id, recipient, topic, dedup, body, position)
        WHERE outcomes[o.append] = 'appended'
        ORDER BY o.position
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
