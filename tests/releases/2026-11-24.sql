-- The database as release 2026-11-24 made it: its migrations in their order. Never edited; see README.md beside it.

SET client_min_messages = warning;

-- ledger/sql/010_tables.sql
-- The tables of the ledger. Every constraint is here so that an illegal state cannot be stored by any code path.
-- Names are compared byte by byte (collation "C"): the order of keys then is the same on every machine.

CREATE SCHEMA IF NOT EXISTS ledger;

-- A text range compares text in an exclusion constraint without an extension.
DO $$
BEGIN
    IF to_regtype('ledger.textrange') IS NULL THEN
        CREATE TYPE ledger.textrange AS RANGE (subtype = text, collation = "C");
    END IF;
END
$$;

-- The head row of each book. `sequence` is the last one given out; its row lock makes commit order sequence order.
-- Rows are rewritten at every append, so pages are kept mostly empty for updates in place.
CREATE TABLE IF NOT EXISTS ledger.books (
    book       text COLLATE "C" PRIMARY KEY CHECK (book ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    number     integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    sequence   bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

-- Columns of fixed width come first, so that rows hold no padding. `body` holds the canonical bytes; the columns
-- repeat what queries need, and verification compares them with the bytes.
CREATE TABLE IF NOT EXISTS ledger.events (
    sequence       bigint NOT NULL CHECK (sequence > 0),
    version        bigint NOT NULL CHECK (version > 0),
    recorded_at    timestamptz NOT NULL,
    effective_at   timestamptz NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 0),
    id             uuid NOT NULL,
    command_id     uuid NOT NULL,
    book           text COLLATE "C" NOT NULL,
    stream         text COLLATE "C" NOT NULL CHECK (length(stream) BETWEEN 1 AND 200),
    type           text COLLATE "C" NOT NULL CHECK (length(type) BETWEEN 1 AND 200),
    leaf_hash      bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    body           bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 65536),
    PRIMARY KEY (book, sequence),
    UNIQUE (book, stream, version)
) PARTITION BY LIST (book);

-- The last version of each stream. A stream's row is only written under the lock of its book's head row. There is no
-- foreign key to it: its check would cost more than the rest of a new stream's first append.
CREATE TABLE IF NOT EXISTS ledger.streams (
    book    text COLLATE "C" NOT NULL,
    stream  text COLLATE "C" NOT NULL CHECK (length(stream) BETWEEN 1 AND 200),
    version bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (book, stream)
) WITH (fillfactor = 80);

-- What was answered to each command that was carried out.
CREATE TABLE IF NOT EXISTS ledger.commands (
    command_id   uuid PRIMARY KEY,
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    reply        bytea NOT NULL,
    recorded_at  timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS ledger.counters (
    key     text COLLATE "C" PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 300),
    used    bigint NOT NULL CHECK (used >= 0),
    maximum bigint NOT NULL CHECK (maximum >= 0),
    CHECK (used <= maximum)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS ledger.holds (
    key   text COLLATE "C" PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 300),
    owner text COLLATE "C" NOT NULL CHECK (length(owner) BETWEEN 1 AND 300)
);

-- Days barred on a key. One owner's blocks on a key never overlap; other owners' may.
CREATE TABLE IF NOT EXISTS ledger.blocks (
    key    text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
    owner  text COLLATE "C" NOT NULL CHECK (length(owner) BETWEEN 1 AND 300),
    period daterange NOT NULL CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)),
    PRIMARY KEY (key, owner, period),
    EXCLUDE USING gist (
        ledger.textrange(key, key, '[]') WITH &&,
        ledger.textrange(owner, owner, '[]') WITH &&,
        period WITH &&
    )
);

-- What recipients are still to be told, in the order of `position`.
CREATE TABLE IF NOT EXISTS ledger.outbox (
    position     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    id           uuid PRIMARY KEY,
    recipient    text COLLATE "C" NOT NULL CHECK (length(recipient) BETWEEN 1 AND 300),
    topic        text COLLATE "C" NOT NULL CHECK (length(topic) BETWEEN 1 AND 300),
    dedup        text COLLATE "C" NOT NULL CHECK (length(dedup) <= 300),
    body         bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 65536)
);
CREATE UNIQUE INDEX IF NOT EXISTS outbox_once ON ledger.outbox (recipient, dedup) WHERE dedup <> '';
CREATE INDEX IF NOT EXISTS outbox_pending ON ledger.outbox (recipient, position) WHERE delivered_at IS NULL;

-- Signed roots. `frontier` holds the roots of the perfect subtrees (32 bytes each, largest first) at this size, from
-- which the next seal goes on; it adds up to `root` or it is not used.
CREATE TABLE IF NOT EXISTS ledger.checkpoints (
    book      text COLLATE "C" NOT NULL REFERENCES ledger.books,
    size      bigint NOT NULL CHECK (size > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    sealed_at timestamptz NOT NULL,
    note      text NOT NULL CHECK (length(note) BETWEEN 1 AND 2000),
    frontier  bytea NOT NULL CHECK (octet_length(frontier) % 32 = 0 AND octet_length(frontier) BETWEEN 32 AND 2048),
    PRIMARY KEY (book, size)
);

-- ledger/sql/015_lock_class.sql
-- The class of all advisory locks that the ledger takes ("xunj" in ASCII). Its members: -1 sealing,
-- -2 migrating, 0 to 255 the stripes of the claim keys.
CREATE OR REPLACE FUNCTION ledger.lock_class() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2020961898;

-- ledger/sql/020_refuse_change.sql
-- History is not changed: the triggers on events and checkpoints call this for UPDATE, DELETE and TRUNCATE.
CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what is recorded is never changed', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- ledger/sql/030_guard.sql
-- Puts the refusing triggers on a table. They fire per statement, so that a change that meets no row is refused too,
-- and always, whatever the session's replication role says.
CREATE OR REPLACE FUNCTION ledger.guard(guarded regclass) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = guarded AND tgname = 'refuse_change') THEN
        RETURN;
    END IF;
    EXECUTE format(
        'CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', guarded);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refuse_change', guarded);
END
$$;

SELECT ledger.guard('ledger.events');
SELECT ledger.guard('ledger.checkpoints');

-- ledger/sql/040_create_partition.sql
-- Gives a new book its partition of the events. The caller holds the lock on the book's head row.
--
-- The partition is attached and not created in place, because attaching lets the appends of other books go on.
-- Appends insert through the parent, but somebody may reach the partition by its own name, so it is guarded too.
CREATE OR REPLACE FUNCTION ledger.create_partition(new_book text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    partition_name text;
BEGIN
    SELECT format('ledger.%I', 'events_' || b.number) INTO STRICT partition_name
    FROM ledger.books b WHERE b.book = new_book;
    EXECUTE format('CREATE TABLE %s (LIKE ledger.events INCLUDING ALL)', partition_name);
    EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION %s FOR VALUES IN (%L)', partition_name, new_book);
    PERFORM ledger.guard(partition_name::regclass);
END
$$;

-- ledger/sql/050_judge.sql
-- Judges the appends of one call in their order, from what was read under the locks, without touching a table.
--
-- An append passes when all its writes expect the version that its streams have by then and all its claims hold by
-- then; each append sees what the passed ones before it, and its own earlier claims, have changed. A refused append
-- changes nothing. `outcomes` comes in with the duplicates already marked and NULL elsewhere.
--
-- Writes and claims come in the order of their appends. Their second arrays hold positions: a write's stream, a
-- claim's key among the keys of its kind, a block's pair of key and owner. `write_lasts` is the last sequence of each
-- write that passed, NULL for the others.
CREATE OR REPLACE FUNCTION ledger.judge(
    INOUT outcomes text[], INOUT details text[],
    IN write_appends integer[], IN write_streams integer[], IN write_expected bigint[], IN write_counts integer[],
    IN stream_books integer[], IN stream_names text[],
    INOUT book_sequences bigint[], INOUT stream_versions bigint[], OUT write_lasts bigint[],
    IN claim_appends integer[], IN claim_kinds text[], IN claim_keys integer[], IN claim_pairs integer[],
    IN claim_numbers bigint[], IN claim_owners text[], IN claim_froms date[], IN claim_untils date[],
    INOUT counter_useds bigint[], INOUT counter_maximums bigint[], INOUT hold_owners text[],
    IN pair_keys integer[], INOUT pair_days datemultirange[], IN rest_days datemultirange[], INOUT key_days datemultirange[]
)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    appends integer := cardinality(outcomes);
    writes  integer := cardinality(write_appends);
    claims  integer := cardinality(claim_appends);
    w_first integer; w_next integer := 1;
    c_first integer; c_next integer := 1;
    s integer; b integer; k integer; p integer;
    refusal text;
    days datemultirange;
    -- What each claim has changed, so that the claims of a refused append are undone.
    old_useds bigint[] := array_fill(NULL::bigint, ARRAY[claims]);
    old_maximums bigint[] := old_useds;
    old_owners text[] := array_fill(NULL::text, ARRAY[claims]);
    old_pair_days datemultirange[] := array_fill(NULL::datemultirange, ARRAY[claims]);
    old_key_days datemultirange[] := old_pair_days;
BEGIN
    write_lasts := array_fill(NULL::bigint, ARRAY[writes]);
    FOR a IN 1 .. appends LOOP
        w_first := w_next;
        WHILE w_next <= writes AND write_appends[w_next] = a LOOP
            w_next := w_next + 1;
        END LOOP;
        c_first := c_next;
        WHILE c_next <= claims AND claim_appends[c_next] = a LOOP
            c_next := c_next + 1;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        FOR w IN w_first .. w_next - 1 LOOP
            s := write_streams[w];
            IF stream_versions[s] <> write_expected[w] THEN
                outcomes[a] := 'conflict';
                details[a] := json_build_object('stream', stream_names[s], 'expected', write_expected[w],
                                                'actual', stream_versions[s]);
                EXIT;
            END IF;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        FOR c IN c_first .. c_next - 1 LOOP
            k := claim_keys[c];
            p := claim_pairs[c];
            refusal := NULL;
            CASE claim_kinds[c]
            WHEN 'count' THEN
                old_useds[c] := counter_useds[k];
                IF counter_useds[k] + claim_numbers[c] < 0 THEN
                    refusal := 'count_below_zero';
                ELSIF claim_numbers[c] > 0 AND counter_useds[k] + claim_numbers[c] > counter_maximums[k] THEN
                    refusal := 'count_exhausted';
                ELSE
                    counter_useds[k] := counter_useds[k] + claim_numbers[c];
                END IF;
            WHEN 'limit' THEN
                old_maximums[c] := counter_maximums[k];
                IF claim_numbers[c] < counter_useds[k] THEN
                    refusal := 'limit_below_used';
                ELSE
                    counter_maximums[k] := claim_numbers[c];
                END IF;
            WHEN 'take' THEN
                old_owners[c] := hold_owners[k];
                IF hold_owners[k] <> claim_owners[c] THEN
                    refusal := 'held';
                ELSE
                    hold_owners[k] := claim_owners[c];
                END IF;
            WHEN 'release' THEN
                old_owners[c] := hold_owners[k];
                IF hold_owners[k] = claim_owners[c] THEN
                    hold_owners[k] := NULL;
                END IF;
            WHEN 'block' THEN
                old_pair_days[c] := pair_days[p];
                old_key_days[c] := key_days[k];
                days := datemultirange(daterange(claim_froms[c], claim_untils[c]));
                IF pair_days[p] && days THEN
                    refusal := 'blocked';
                    days := pair_days[p] * days;
                ELSE
                    pair_days[p] := pair_days[p] + days;
                    key_days[k] := key_days[k] + days;
                END IF;
            WHEN 'unblock' THEN
                old_pair_days[c] := pair_days[p];
                old_key_days[c] := key_days[k];
                pair_days[p] := '{}';
                key_days[k] := rest_days[k];
                FOR q IN 1 .. cardinality(pair_keys) LOOP
                    IF pair_keys[q] = k THEN
                        key_days[k] := key_days[k] + pair_days[q];
                    END IF;
                END LOOP;
            WHEN 'clear' THEN
                IF key_days[k] @> claim_froms[c] THEN
                    refusal := 'blocked';
                    days := datemultirange(daterange(claim_froms[c], claim_froms[c], '[]'));
                END IF;
            END CASE;
            IF refusal IS NULL THEN
                CONTINUE;
            END IF;
            outcomes[a] := 'refused';
            details[a] := CASE
                WHEN refusal = 'held' THEN
                    json_build_object('claim', c, 'code', refusal, 'owner', hold_owners[k])
                WHEN refusal = 'blocked' THEN
                    -- The day after the last barred one, of the days in a row that the refused day belongs to.
                    json_build_object('claim', c, 'code', refusal, 'until',
                        (SELECT max(upper(r)) FROM unnest(key_days[k]) r WHERE r && days))
                ELSE
                    json_build_object('claim', c, 'code', refusal, 'used', counter_useds[k],
                                      'limit', counter_maximums[k])
                END;
            FOR u IN REVERSE c - 1 .. c_first LOOP
                k := claim_keys[u];
                CASE claim_kinds[u]
                WHEN 'count' THEN counter_useds[k] := old_useds[u];
                WHEN 'limit' THEN counter_maximums[k] := old_maximums[u];
                WHEN 'take', 'release' THEN hold_owners[k] := old_owners[u];
                WHEN 'block', 'unblock' THEN
                    pair_days[claim_pairs[u]] := old_pair_days[u];
                    key_days[k] := old_key_days[u];
                ELSE NULL;
                END CASE;
            END LOOP;
            EXIT;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        outcomes[a] := 'appended';
        FOR w IN w_first .. w_next - 1 LOOP
            s := write_streams[w];
            b := stream_books[s];
            book_sequences[b] := book_sequences[b] + write_counts[w];
            write_lasts[w] := book_sequences[b];
            stream_versions[s] := stream_versions[s] + write_counts[w];
        END LOOP;
    END LOOP;
END
$$;

-- ledger/sql/052_lock_claims.sql
-- Locks claim keys until the end of the transaction, whether or not a row stands behind them yet.
--
-- Keys share 256 stripes, so that even a large import holds few of the server's locks; two keys of one stripe wait for
-- each other for the length of one commit. The stripes are taken in ascending order by everybody.
CREATE OR REPLACE FUNCTION ledger.lock_claims(keys text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(ledger.lock_class(), s.stripe)
    FROM (SELECT DISTINCT hashtext(k) & 255 AS stripe FROM unnest(keys) k ORDER BY 1) s;
END
$$;

-- ledger/sql/053_read_claims.sql
-- Reads what the claim keys of one call stand at; the caller holds their locks.
--
-- Answers with arrays beside the given ones: used and limit of each counter (0 and 0 for one never seen), the owner
-- of each held key (NULL = free), the days barred by each pair of key and owner, and for each blocked key the days
-- barred by owners that the call does not name (`rest_days`) and by anybody (`key_days`).
CREATE OR REPLACE FUNCTION ledger.read_claims(
    IN counter_keys text[], IN hold_keys text[], IN block_keys text[], IN pair_keys integer[], IN pair_owners text[],
    OUT counter_useds bigint[], OUT counter_maximums bigint[], OUT hold_owners text[],
    OUT pair_days datemultirange[], OUT rest_days datemultirange[], OUT key_days datemultirange[]
)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT coalesce(array_agg(coalesce(c.used, 0) ORDER BY k.position), '{}'),
           coalesce(array_agg(coalesce(c.maximum, 0) ORDER BY k.position), '{}')
    INTO counter_useds, counter_maximums
    FROM unnest(counter_keys) WITH ORDINALITY AS k (key, position)
    LEFT JOIN ledger.counters c ON c.key = k.key;

    hold_owners := ARRAY(
        SELECT h.owner FROM unnest(hold_keys) WITH ORDINALITY AS k (key, position)
        LEFT JOIN ledger.holds h ON h.key = k.key
        ORDER BY k.position);

    key_days := ARRAY(
        SELECT coalesce((SELECT range_agg(b.period) FROM ledger.blocks b WHERE b.key = k.key), '{}')
        FROM unnest(block_keys) WITH ORDINALITY AS k (key, position)
        ORDER BY k.position);
    IF cardinality(pair_keys) = 0 THEN
        pair_days := '{}';
        rest_days := key_days;
        RETURN;
    END IF;
    pair_days := ARRAY(
        SELECT coalesce((SELECT range_agg(b.period) FROM ledger.blocks b
                         WHERE b.key = block_keys[p.key] AND b.owner = p.owner), '{}')
        FROM unnest(pair_keys, pair_owners) WITH ORDINALITY AS p (key, owner, position)
        ORDER BY p.position);
    rest_days := ARRAY(
        SELECT coalesce((SELECT range_agg(b.period) FROM ledger.blocks b
                         WHERE b.key = k.key AND NOT EXISTS (
                             SELECT FROM unnest(pair_keys, pair_owners) AS p (key, owner)
                             WHERE p.key = k.position AND p.owner = b.owner)), '{}')
        FROM unnest(block_keys) WITH ORDINALITY AS k (key, position)
        ORDER BY k.position);
END
$$;

-- ledger/sql/054_store_claims.sql
-- Writes back the claim keys that the judging has changed; the caller holds their locks.
CREATE OR REPLACE FUNCTION ledger.store_claims(
    counter_keys text[], counter_useds bigint[], counter_maximums bigint[], used_afters bigint[], maximum_afters bigint[],
    hold_keys text[], hold_befores text[], hold_afters text[],
    block_keys text[], pair_keys integer[], pair_owners text[],
    pair_befores datemultirange[], pair_afters datemultirange[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF (counter_useds, counter_maximums) IS DISTINCT FROM (used_afters, maximum_afters) THEN
        INSERT INTO ledger.counters AS c (key, used, maximum)
        SELECT k.key, k.used_after, k.maximum_after
        FROM unnest(counter_keys, counter_useds, counter_maximums, used_afters, maximum_afters)
             AS k (key, used, maximum, used_after, maximum_after)
        WHERE k.used <> k.used_after OR k.maximum <> k.maximum_after
        ON CONFLICT (key) DO UPDATE SET used = excluded.used, maximum = excluded.maximum;
    END IF;
    IF hold_befores IS DISTINCT FROM hold_afters THEN
        DELETE FROM ledger.holds h USING unnest(hold_keys, hold_afters) AS k (key, owner)
        WHERE h.key = k.key AND k.owner IS NULL;
        INSERT INTO ledger.holds AS h (key, owner)
        SELECT k.key, k.after FROM unnest(hold_keys, hold_befores, hold_afters) AS k (key, before, after)
        WHERE k.after IS DISTINCT FROM k.before AND k.after IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET owner = excluded.owner;
    END IF;
    IF pair_befores IS DISTINCT FROM pair_afters THEN
        DELETE FROM ledger.blocks b
        USING unnest(pair_keys, pair_owners, pair_befores, pair_afters) AS p (key, owner, before, after)
        WHERE b.key = block_keys[p.key] AND b.owner = p.owner AND p.before <> p.after;
        INSERT INTO ledger.blocks (key, owner, period)
        SELECT block_keys[p.key], p.owner, unnest(p.after)
        FROM unnest(pair_keys, pair_owners, pair_befores, pair_afters) AS p (key, owner, before, after)
        WHERE p.before <> p.after;
    END IF;
END
$$;

-- ledger/sql/060_append.sql
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

-- ledger/sql/070_vault.sql
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

-- ledger/sql/080_roles.sql
-- The application's role reads everything and writes through the append function only; the sealer's role adds
-- checkpoints. Where the connecting user may not make roles, somebody who may does so once; the grants are given by
-- the first migration that finds the role.
DO $$
DECLARE
    wanted text;
BEGIN
    IF NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    FOREACH wanted IN ARRAY ARRAY['xunji_app', 'xunji_sealer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another database of this server was migrated at the same time and has made it.
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA ledger, vault FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA ledger, vault TO xunji_app;
        GRANT SELECT ON ALL TABLES IN SCHEMA ledger, vault TO xunji_app;
        GRANT EXECUTE ON FUNCTION ledger.append TO xunji_app;
        -- What was delivered is marked by the one who delivers. A person's key may be made, but destroyed by nobody
        -- who only has this role.
        GRANT UPDATE (delivered_at) ON ledger.outbox TO xunji_app;
        GRANT INSERT ON vault.subjects TO xunji_app;
        GRANT UPDATE (blind_index, index_key_id) ON vault.subjects TO xunji_app;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_sealer') THEN
        GRANT USAGE ON SCHEMA ledger TO xunji_sealer;
        GRANT SELECT ON ledger.books, ledger.events, ledger.checkpoints TO xunji_sealer;
        GRANT INSERT ON ledger.checkpoints TO xunji_sealer;
    END IF;
END
$$;

-- projections/sql/app/010_plans.sql
-- The exact text of each campaign's plan. It is never changed: events name it by its digest.
CREATE SCHEMA IF NOT EXISTS app;

CREATE TABLE IF NOT EXISTS app.plans (
    campaign      text COLLATE "C" PRIMARY KEY,
    number_prefix text COLLATE "C" NOT NULL UNIQUE,
    sha256        text NOT NULL UNIQUE CHECK (length(sha256) = 64),
    body          bytea NOT NULL CHECK (octet_length(body) BETWEEN 2 AND 4194304),
    adopted_at    timestamptz NOT NULL DEFAULT now()
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT ON app.plans TO xunji_app;
    END IF;
END
$$;

-- api/sql/010_tables.sql
-- The API's own tables. Nothing here is a fact of the domain: the ledger could do without any of them.
CREATE SCHEMA IF NOT EXISTS app;

-- The keys of organisations. The secret itself is kept nowhere, only its SHA-256.
CREATE TABLE IF NOT EXISTS app.api_keys (
    key_id       text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{16}$'),
    organisation text NOT NULL,
    role         text NOT NULL CHECK (role IN ('bureau', 'county', 'school', 'host')),
    secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz CHECK (expires_at > created_at),
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX IF NOT EXISTS api_keys_of_organisation ON app.api_keys (organisation, key_id);

-- One row per request that changes something. Without `status` it is in flight, and held by its process until
-- `held_until` of real time; after that another attempt may take it over, which the command ids make safe.
CREATE TABLE IF NOT EXISTS app.idempotency (
    organisation text NOT NULL,
    operation    text NOT NULL,
    key          text NOT NULL,
    body_digest  bytea NOT NULL CHECK (length(body_digest) = 32),
    held_until   timestamptz NOT NULL,
    status       smallint CHECK (status BETWEEN 200 AND 499),
    headers      jsonb,
    body         bytea,
    sealed       boolean NOT NULL DEFAULT false,
    answered_at  timestamptz,
    PRIMARY KEY (organisation, operation, key),
    CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (answered_at IS NULL))
);
CREATE INDEX IF NOT EXISTS idempotency_by_age ON app.idempotency (held_until);

-- The last counter of each series of numbers (`zz22-410181`, `zz22-c-h012`, `prior`).
CREATE TABLE IF NOT EXISTS app.number_series (
    series  text PRIMARY KEY,
    counter integer NOT NULL CHECK (counter >= 0)
);

-- The number that a command was given, so that a repeated command gets the same one. Never given out again.
CREATE TABLE IF NOT EXISTS app.numbers (
    command_id uuid PRIMARY KEY,
    series     text NOT NULL,
    counter    integer NOT NULL CHECK (counter > 0),
    UNIQUE (series, counter)
);

-- Where organisations want their notices posted. The secret is sealed under the master key, for this id alone.
CREATE TABLE IF NOT EXISTS app.webhook_endpoints (
    id            text PRIMARY KEY CHECK (id ~ '^we_[a-z0-9]{16}$'),
    organisation  text NOT NULL,
    url           text NOT NULL CHECK (length(url) <= 2000),
    secret_sealed bytea NOT NULL,
    event_types   text[] CHECK (event_types IS NULL OR cardinality(event_types) > 0),
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);
CREATE INDEX IF NOT EXISTS webhook_endpoints_of_organisation ON app.webhook_endpoints (organisation, id);

-- api/sql/020_begin_request.sql
-- Begins a request that changes something, or says what became of it. `outcome` is 'begun', 'answered' (with the first
-- answer), 'in-flight', or 'other-body' when the key stands for another content.
--
-- The commit is asynchronous: a row lost in a crash only means that the request is done again, under the same command
-- id, and the ledger answers that as it did the first time.
CREATE OR REPLACE FUNCTION app.begin_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea, hold interval,
    OUT outcome text, OUT status smallint, OUT headers jsonb, OUT body bytea, OUT sealed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    known app.idempotency;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO app.idempotency (organisation, operation, key, body_digest, held_until)
    VALUES (the_organisation, the_operation, the_key, the_digest, clock_timestamp() + hold)
    ON CONFLICT ON CONSTRAINT idempotency_pkey DO NOTHING;
    IF FOUND THEN
        outcome := 'begun';
        RETURN;
    END IF;
    SELECT * INTO known FROM app.idempotency AS i
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key FOR UPDATE;
    IF NOT FOUND THEN
        -- It was abandoned between the two statements; the caller comes again.
        outcome := 'in-flight';
    ELSIF known.body_digest <> the_digest THEN
        outcome := 'other-body';
    ELSIF known.status IS NOT NULL THEN
        outcome := 'answered';
        status := known.status;
        headers := known.headers;
        body := known.body;
        sealed := known.sealed;
    ELSIF known.held_until > clock_timestamp() THEN
        outcome := 'in-flight';
    ELSE
        UPDATE app.idempotency AS i SET held_until = clock_timestamp() + hold
        WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key;
        outcome := 'begun';
    END IF;
END $$;

-- api/sql/021_answer_request.sql
-- Keeps the first answer of a request; one that was answered already keeps the answer it has.
CREATE OR REPLACE FUNCTION app.answer_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea,
    the_status smallint, the_headers jsonb, the_body bytea, is_sealed boolean
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE app.idempotency AS i
    SET status = the_status, headers = the_headers, body = the_body, sealed = is_sealed, answered_at = clock_timestamp()
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key
      AND i.body_digest = the_digest AND i.status IS NULL;
END $$;

-- api/sql/022_abandon_request.sql
-- Forgets a request that came to no answer, so that it may be repeated at once.
CREATE OR REPLACE FUNCTION app.abandon_request(
    the_organisation text, the_operation text, the_key text, the_digest bytea
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM app.idempotency AS i
    WHERE i.organisation = the_organisation AND i.operation = the_operation AND i.key = the_key
      AND i.body_digest = the_digest AND i.status IS NULL;
END $$;

-- api/sql/030_reserve_numbers.sql
-- Gives each command the next counter of its series, or the one that it was given before. The series are locked in
-- sorted order, so that two batches never wait for each other in a circle.
CREATE OR REPLACE FUNCTION app.reserve_numbers(command_ids uuid[], series_names text[])
RETURNS TABLE (command_id uuid, counter integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    wanted record;
    given integer;
BEGIN
    FOR wanted IN
        SELECT w.series, array_agg(w.id ORDER BY w.place) AS ids
        FROM unnest(command_ids, series_names) WITH ORDINALITY AS w (id, series, place)
        GROUP BY w.series ORDER BY w.series
    LOOP
        -- The lock comes first; the statement after it sees what a concurrent repetition has reserved.
        INSERT INTO app.number_series AS s (series, counter) VALUES (wanted.series, 0)
        ON CONFLICT (series) DO UPDATE SET counter = s.counter;
        INSERT INTO app.numbers (command_id, series, counter)
        SELECT w.id, wanted.series, s.counter + row_number() OVER (ORDER BY w.place)
        FROM unnest(wanted.ids) WITH ORDINALITY AS w (id, place), app.number_series AS s
        WHERE s.series = wanted.series AND NOT EXISTS (SELECT FROM app.numbers AS n WHERE n.command_id = w.id);
        GET DIAGNOSTICS given = ROW_COUNT;
        UPDATE app.number_series AS s SET counter = s.counter + given WHERE s.series = wanted.series AND given > 0;
    END LOOP;
    RETURN QUERY SELECT n.command_id, n.counter FROM app.numbers AS n WHERE n.command_id = ANY (command_ids);
END $$;

-- api/sql/090_grants.sql
-- The application's role, where the ledger's migration could make it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT, UPDATE ON app.api_keys, app.number_series, app.webhook_endpoints TO xunji_app;
        GRANT SELECT, INSERT ON app.numbers TO xunji_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON app.idempotency TO xunji_app;
    END IF;
END
$$;

-- activities/sql/001_deliveries.sql
-- The log of what was sent to whom, and with what success. It holds references only: a teacher's address, name or
-- number never stands here, nor does what a receiver answered.
CREATE SCHEMA IF NOT EXISTS app;

-- `endpoint` is the webhook endpoint's id, or the id of the mail that carried the notice. `problem` is empty once the
-- receiver has taken it, 'unfinished' while a mail is on its way. `first_at` is the first attempt of a row that is
-- written again.
CREATE TABLE IF NOT EXISTS app.deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox_id    uuid NOT NULL,
    organisation text COLLATE "C" NOT NULL CHECK (length(organisation) BETWEEN 1 AND 300),
    channel      text COLLATE "C" NOT NULL CHECK (channel IN ('webhook', 'mail', 'person-mail')),
    endpoint     text COLLATE "C" NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 100),
    attempt      integer NOT NULL CHECK (attempt > 0),
    status_code  integer CHECK (status_code BETWEEN 100 AND 599),
    problem      text NOT NULL CHECK (length(problem) <= 200),
    at           timestamptz NOT NULL DEFAULT now(),
    first_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (problem <> '' OR status_code BETWEEN 200 AND 299)
);

-- Every webhook attempt has its row; a notice reaches an endpoint once.
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_posted_once
    ON app.deliveries (outbox_id, endpoint) WHERE channel = 'webhook' AND problem = '';
-- A mail has one row per notice in it, whose attempts are counted: a mail server that is down for a day would fill
-- the log otherwise.
CREATE UNIQUE INDEX IF NOT EXISTS deliveries_mailed_once
    ON app.deliveries (outbox_id, channel, endpoint) WHERE channel <> 'webhook';
CREATE INDEX IF NOT EXISTS deliveries_by_notice ON app.deliveries (outbox_id);
CREATE INDEX IF NOT EXISTS deliveries_by_organisation ON app.deliveries (organisation, id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT USAGE ON SCHEMA app TO xunji_app;
        GRANT SELECT, INSERT, UPDATE ON app.deliveries TO xunji_app;
    END IF;
END
$$;
