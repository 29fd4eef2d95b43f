-- Who may take on the roles of the application: the login `xunji_service`, where it was made, and the owner, so that a
-- process that logs in as the owner can give his rights up. Where the owner may not grant, an administrator does.
DO $$
DECLARE
    member text;
    given text;
BEGIN
    FOREACH member IN ARRAY ARRAY[current_user::text, 'xunji_service'] LOOP
        FOREACH given IN ARRAY ARRAY['xunji_app', 'xunji_sealer'] LOOP
            CONTINUE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = member)
                       OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = given);
            -- A superuser counts as a member of every role.
            CONTINUE WHEN pg_has_role(member, given, 'MEMBER');
            BEGIN
                EXECUTE format('GRANT %I TO %I', given, member);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'role % may not be granted to %: let an administrator do it', given, member;
                WHEN unique_violation THEN
                    -- Another database of this server was migrated at the same time and has granted it.
                    NULL;
            END;
        END LOOP;
    END LOOP;
END
$$;
