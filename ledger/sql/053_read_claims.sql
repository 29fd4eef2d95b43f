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
