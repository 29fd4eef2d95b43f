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
