-- Gives each command the next counter of its series, or the one that it was given before. The series are locked in
-- sorted order, so that two batches never wait for each other in a circle.
CREATE OR REPLACE FUNCTION app.reserve_numbers(command_ids uuid[], series_names text[])
RETURNS TABLE (command_id uuid, counter integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    wanted record;
    given integer;
BEGIN
    FOR wanted IN
        SELECT w.series, array_agg(w.id ORDER BY w.place) AS ids
        FROM unnest(command_ids, series_names) WITH ORDINALITY AS w (id, series, place)
        GROUP BY w.series ORDER BY w.series
    LOOP
        -- The lock comes first; the statement after it sees what a concurrent repetition has reserved.
        INSERT INTO app.number_series AS s (series, counter) VALUES (wanted.series, 0)
        ON CONFLICT (series) DO UPDATE SET counter = s.counter;
        INSERT INTO app.numbers (command_id, series, counter)
        SELECT w.id, wanted.series, s.counter + row_number() OVER (ORDER BY w.place)
        FROM unnest(wanted.ids) WITH ORDINALITY AS w (id, place), app.number_series AS s
        WHERE s.series = wanted.series AND NOT EXISTS (SELECT FROM app.numbers AS n WHERE n.command_id = w.id);
        GET DIAGNOSTICS given = ROW_COUNT;
        UPDATE app.number_series AS s SET counter = s.counter + given WHERE s.series = wanted.series AND given > 0;
    END LOOP;
    RETURN QUERY SELECT n.command_id, n.counter FROM app.numbers AS n WHERE n.command_id = ANY (command_ids);
END $$;
