-- The class of all advisory locks that the ledger takes ("xunj" in ASCII). Its members: -1 sealing,
-- -2 migrating, -3 asking witnesses, 0 to 255 the stripes of the claim keys.
CREATE OR REPLACE FUNCTION ledger.lock_class() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2020961898;
