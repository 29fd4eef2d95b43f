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
        GRANT EXECUTE ON FUNCTION ledger.append, ledger.append_plain, ledger.append_one TO xunji_app;
        -- What was delivered is marked by the one who delivers. A person's key may be made, and be destroyed by the
        -- one function that leaves a tombstone.
        GRANT UPDATE (delivered_at) ON ledger.outbox TO xunji_app;
        GRANT INSERT ON vault.subjects TO xunji_app;
        GRANT EXECUTE ON FUNCTION vault.erase_subject TO xunji_app;
        GRANT UPDATE (blind_index, index_key_id) ON vault.subjects TO xunji_app;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_sealer') THEN
        GRANT USAGE ON SCHEMA ledger TO xunji_sealer;
        GRANT SELECT ON ledger.books, ledger.events, ledger.checkpoints TO xunji_sealer;
        GRANT INSERT ON ledger.checkpoints TO xunji_sealer;
    END IF;
END
$$;
