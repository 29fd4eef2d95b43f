-- An auditor's keys. The constraint is looked for first: replacing it takes a lock that every request waits for.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'app.api_keys'::regclass AND conname = 'api_keys_role_check'
            AND position('auditor' IN pg_get_constraintdef(oid)) > 0
    ) THEN
        ALTER TABLE app.api_keys
            DROP CONSTRAINT api_keys_role_check,
            ADD CONSTRAINT api_keys_role_check
                CHECK (role IN ('bureau', 'county', 'school', 'host', 'auditor'));
    END IF;
END
$$;
