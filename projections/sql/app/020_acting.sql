-- Row security: on whose behalf a statement reads, and which rows that one may see. `xunji_caller` is the role of the
-- API's statements for whoever has called. It sees the rows of the organisation for which the statement acts, and where
-- a statement acts for nobody, none. `xunji_app`, the role of the processes' own work, sees everything, and so does the
-- owner.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller')
       AND (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            CREATE ROLE xunji_caller NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            -- Another database of this server was migrated at the same time and has made it.
            NULL;
        END;
    END IF;
END
$$;

-- Who may take it on: as `ledger/sql/085_service.sql` for the other roles.
DO $$
DECLARE
    member text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller') THEN
        RAISE WARNING 'there is no role xunji_caller, without which the API answers nobody: let an administrator make it';
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA app TO xunji_caller;
    FOREACH member IN ARRAY ARRAY[current_user::text, 'xunji_service'] LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = member) OR pg_has_role(member, 'xunji_caller', 'MEMBER');
        BEGIN
            EXECUTE format('GRANT xunji_caller TO %I', member);
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role xunji_caller may not be granted to %: let an administrator do it', member;
            WHEN unique_violation THEN
                NULL;
        END;
    END LOOP;
END
$$;

-- From here to the end of the transaction, which without a BEGIN is that of the one statement, it acts for this
-- organisation. So nothing is left on the connection for whoever uses it next, whatever becomes of the statement.
--
-- It is said to be STABLE so that `WHERE app.acting_as(…)` around a query is asked once and before anything is read. If a
-- plan ever asked later, the policies would find nobody to act for: no row would be seen, instead of somebody else's.
CREATE OR REPLACE FUNCTION app.acting_as(IN as_role text, IN for_organisation text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF coalesce(as_role, '') = '' OR coalesce(for_organisation, '') = '' THEN
        RAISE EXCEPTION 'nobody to act for' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN set_config('xunji.role', as_role, true) = as_role
       AND set_config('xunji.organisation', for_organisation, true) = for_organisation;
END
$$;

-- The role of the organisation for which the statement acts; NULL for nobody.
CREATE OR REPLACE FUNCTION app.acting_role() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('xunji.role', true), '')
$$;

-- The organisation for which the statement acts; NULL for nobody, which equals no column.
CREATE OR REPLACE FUNCTION app.acting_organisation() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('xunji.organisation', true), '')
$$;

-- The county of a school, which its id begins with (`api.institutions.NewInstitution`); NULL for anybody else. Asked of
-- the id, because a school may get its key before the views know it.
CREATE OR REPLACE FUNCTION app.county_of(IN organisation text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(organisation FROM '^(.+)-s[0-9]{2,4}$')
$$;

-- Lets `xunji_caller` do no more than `privileges` with a table, and only with rows for which `own` is true. Looks before
-- it changes anything, because a change waits for whoever reads the table. A condition is changed by its text.
CREATE OR REPLACE FUNCTION app.protect(IN the_table regclass, IN privileges text, IN own text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        -- Without roles the processes are the owner, for whom there are no policies.
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = the_table AND polname = 'all_of_it') THEN
        EXECUTE format('CREATE POLICY all_of_it ON %s TO xunji_app USING (true) WITH CHECK (true)', the_table);
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller') THEN
        SELECT obj_description(oid, 'pg_policy') INTO known
        FROM pg_policy WHERE polrelid = the_table AND polname = 'own_rows';
        IF known IS DISTINCT FROM own THEN
            EXECUTE format('DROP POLICY IF EXISTS own_rows ON %s', the_table);
            EXECUTE format('CREATE POLICY own_rows ON %s TO xunji_caller USING (%s) WITH CHECK (%s)', the_table, own, own);
            EXECUTE format('COMMENT ON POLICY own_rows ON %s IS %L', the_table, own);
        END IF;
        EXECUTE format('GRANT %s ON %s TO xunji_caller', privileges, the_table);
    END IF;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = the_table) THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', the_table);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION app.protect FROM PUBLIC;
