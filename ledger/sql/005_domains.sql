-- What the columns may hold, as domains. A domain's constraint is prepared once per session; a table's CHECK is parsed
-- anew by every statement that writes, which was a third of the cost of a small append. Tables made before there were
-- domains keep their CHECKs, which say the same.

CREATE SCHEMA IF NOT EXISTS ledger;

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('natural', 'bigint', 'VALUE >= 0'),
            ('place', 'bigint', 'VALUE > 0'),
            ('schema_version', 'integer', 'VALUE > 0'),
            ('book_name', 'text COLLATE "C"', $c$VALUE ~ '^[a-z0-9][a-z0-9._-]{0,99}$'$c$),
            ('name', 'text COLLATE "C"', 'length(VALUE) BETWEEN 1 AND 200'),
            ('key', 'text COLLATE "C"', 'length(VALUE) BETWEEN 1 AND 300'),
            ('hash', 'bytea', 'octet_length(VALUE) = 32'),
            ('payload', 'bytea', 'octet_length(VALUE) BETWEEN 2 AND 65536')
        ) AS w (name, base, rule)
    LOOP
        IF to_regtype('ledger.' || wanted.name) IS NULL THEN
            EXECUTE format('CREATE DOMAIN ledger.%I AS %s CHECK (%s)', wanted.name, wanted.base, wanted.rule);
        END IF;
    END LOOP;
END
$$;
