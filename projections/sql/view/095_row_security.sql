-- Whose the rows are, by the role of the organisation that asks, as `projections/*.py` limits its queries. What is not
-- named here (checkpoints, parked events, the build) is nobody's, and the callers' role may not read it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_caller') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO xunji_caller', current_schema());
    END IF;
END
$$;

SELECT app.protect('trainees', 'SELECT', $$
    CASE (SELECT app.acting_role())
        WHEN 'bureau' THEN true
        WHEN 'county' THEN county = (SELECT app.acting_organisation())
        WHEN 'school' THEN school = (SELECT app.acting_organisation())
        WHEN 'host' THEN host = (SELECT app.acting_organisation())
        ELSE false
    END
$$);

SELECT app.protect('restrictions', 'SELECT', $$
    CASE (SELECT app.acting_role())
        WHEN 'bureau' THEN true
        WHEN 'county' THEN county = (SELECT app.acting_organisation())
        WHEN 'school' THEN school = (SELECT app.acting_organisation())
        ELSE false
    END
$$);

-- A county or a school sees the classes that it has trainees in.
SELECT app.protect('classes', 'SELECT', $$
    CASE (SELECT app.acting_role())
        WHEN 'bureau' THEN true
        WHEN 'host' THEN host = (SELECT app.acting_organisation())
        WHEN 'county' THEN EXISTS (
            SELECT FROM trainees t WHERE t.training_class = classes.number AND t.training_class <> ''
            AND t.county = (SELECT app.acting_organisation()))
        WHEN 'school' THEN EXISTS (
            SELECT FROM trainees t WHERE t.training_class = classes.number AND t.training_class <> ''
            AND t.school = (SELECT app.acting_organisation()))
        ELSE false
    END
$$);

-- Whoever sees the class sees its days.
SELECT app.protect('attendance', 'SELECT', $$
    EXISTS (SELECT FROM classes c WHERE c.number = attendance.training_class)
$$);

-- A county's own lines and those of its schools. There are no persons in them, so an auditor sees all.
SELECT app.protect('quotas', 'SELECT', $$
    CASE (SELECT app.acting_role())
        WHEN 'bureau' THEN true
        WHEN 'auditor' THEN true
        WHEN 'county' THEN owner = (SELECT app.acting_organisation())
        ELSE false
    END
$$);

-- Everybody sees the bureau, the hosts, himself, and what stands above or below him.
SELECT app.protect('institutions', 'SELECT', $$
    CASE (SELECT app.acting_role())
        WHEN 'bureau' THEN true
        WHEN 'auditor' THEN true
        ELSE kind IN ('bureau', 'host') AND (SELECT app.acting_organisation()) IS NOT NULL
            OR id = (SELECT app.acting_organisation()) OR parent = (SELECT app.acting_organisation())
            OR id = (SELECT app.county_of(app.acting_organisation()))
    END
$$);

SELECT app.protect('persons', 'SELECT', $$ (SELECT app.acting_role()) = 'bureau' $$);
SELECT app.protect('training_days', 'SELECT', $$ (SELECT app.acting_role()) = 'bureau' $$);

-- Everybody's, whoever he is: which campaigns there are, and what was published.
SELECT app.protect('campaigns', 'SELECT', $$ (SELECT app.acting_role()) IS NOT NULL $$);
SELECT app.protect('bulletins', 'SELECT', $$ (SELECT app.acting_role()) IS NOT NULL $$);
