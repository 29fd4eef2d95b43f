-- Destroys a person's key and index entry and leaves a tombstone. The application may call this and nothing else that
-- takes a key away: who may ask for it, and when, is decided before. Doing it again gives the first tombstone.
CREATE OR REPLACE FUNCTION vault.erase_subject(
    IN subject uuid, IN reason text, OUT known boolean, OUT erased_at timestamptz, OUT erasure_reason text
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vault.subjects s
    SET blind_index = NULL, index_key_id = NULL, wrapped_key = NULL, master_key_id = NULL, erased_at = now(),
        erasure_reason = reason
    WHERE s.id = subject AND s.erased_at IS NULL;
    SELECT true, s.erased_at, s.erasure_reason INTO known, erased_at, erasure_reason
    FROM vault.subjects s WHERE s.id = subject;
    known := coalesce(known, false);
END
$$;

REVOKE ALL ON FUNCTION vault.erase_subject FROM PUBLIC;
