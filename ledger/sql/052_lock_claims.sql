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
