-- Whether any command is kept, of whomever: each request has to know, so that it overtakes none. It tells nothing else.
CREATE OR REPLACE FUNCTION app.something_is_kept() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM app.inbox WHERE finished_at IS NULL);
END $$;
