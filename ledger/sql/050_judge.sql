-- Judges the appends of one call in their order, from what was read under the locks, without touching a table.
--
-- An append passes when all its writes expect the version that its streams have by then and all its claims hold by
-- then; each append sees what the passed ones before it, and its own earlier claims, have changed. A refused append
-- changes nothing. `outcomes` comes in with the duplicates already marked and NULL elsewhere.
--
-- Writes and claims come in the order of their appends. Their second arrays hold positions: a write's stream, a
-- claim's key among the keys of its kind, a block's pair of key and owner. `write_lasts` is the last sequence of each
-- write that passed, NULL for the others.
CREATE OR REPLACE FUNCTION ledger.judge(
    INOUT outcomes text[], INOUT details text[],
    IN write_appends integer[], IN write_streams integer[], IN write_expected bigint[], IN write_counts integer[],
    IN stream_books integer[], IN stream_names text[],
    INOUT book_sequences bigint[], INOUT stream_versions bigint[], OUT write_lasts bigint[],
    IN claim_appends integer[], IN claim_kinds text[], IN claim_keys integer[], IN claim_pairs integer[],
    IN claim_numbers bigint[], IN claim_owners text[], IN claim_froms date[], IN claim_untils date[],
    INOUT counter_useds bigint[], INOUT counter_maximums bigint[], INOUT hold_owners text[],
    IN pair_keys integer[], INOUT pair_days datemultirange[], IN rest_days datemultirange[], INOUT key_days datemultirange[]
)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    appends integer := cardinality(outcomes);
    writes  integer := cardinality(write_appends);
    claims  integer := cardinality(claim_appends);
    w_first integer; w_next integer := 1;
    c_first integer; c_next integer := 1;
    s integer; b integer; k integer; p integer;
    refusal text;
    days datemultirange;
    -- What each claim has changed, so that the claims of a refused append are undone.
    old_useds bigint[] := array_fill(NULL::bigint, ARRAY[claims]);
    old_maximums bigint[] := old_useds;
    old_owners text[] := array_fill(NULL::text, ARRAY[claims]);
    old_pair_days datemultirange[] := array_fill(NULL::datemultirange, ARRAY[claims]);
    old_key_days datemultirange[] := old_pair_days;
BEGIN
    write_lasts := array_fill(NULL::bigint, ARRAY[writes]);
    FOR a IN 1 .. appends LOOP
        w_first := w_next;
        WHILE w_next <= writes AND write_appends[w_next] = a LOOP
            w_next := w_next + 1;
        END LOOP;
        c_first := c_next;
        WHILE c_next <= claims AND claim_appends[c_next] = a LOOP
            c_next := c_next + 1;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        FOR w IN w_first .. w_next - 1 LOOP
            s := write_streams[w];
            IF stream_versions[s] <> write_expected[w] THEN
                outcomes[a] := 'conflict';
                details[a] := json_build_object('stream', stream_names[s], 'expected', write_expected[w],
                                                'actual', stream_versions[s]);
                EXIT;
            END IF;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        FOR c IN c_first .. c_next - 1 LOOP
            k := claim_keys[c];
            p := claim_pairs[c];
            refusal := NULL;
            CASE claim_kinds[c]
            WHEN 'count' THEN
                old_useds[c] := counter_useds[k];
                IF counter_useds[k] + claim_numbers[c] < 0 THEN
                    refusal := 'count_below_zero';
                ELSIF claim_numbers[c] > 0 AND counter_useds[k] + claim_numbers[c] > counter_maximums[k] THEN
                    refusal := 'count_exhausted';
                ELSE
                    counter_useds[k] := counter_useds[k] + claim_numbers[c];
                END IF;
            WHEN 'limit' THEN
                old_maximums[c] := counter_maximums[k];
                IF claim_numbers[c] < counter_useds[k] THEN
                    refusal := 'limit_below_used';
                ELSE
                    counter_maximums[k] := claim_numbers[c];
                END IF;
            WHEN 'take' THEN
                old_owners[c] := hold_owners[k];
                IF hold_owners[k] <> claim_owners[c] THEN
                    refusal := 'held';
                ELSE
                    hold_owners[k] := claim_owners[c];
                END IF;
            WHEN 'release' THEN
                old_owners[c] := hold_owners[k];
                IF hold_owners[k] = claim_owners[c] THEN
                    hold_owners[k] := NULL;
                END IF;
            WHEN 'block' THEN
                old_pair_days[c] := pair_days[p];
                old_key_days[c] := key_days[k];
                days := datemultirange(daterange(claim_froms[c], claim_untils[c]));
                IF pair_days[p] && days THEN
                    refusal := 'blocked';
                    days := pair_days[p] * days;
                ELSE
                    pair_days[p] := pair_days[p] + days;
                    key_days[k] := key_days[k] + days;
                END IF;
            WHEN 'unblock' THEN
                old_pair_days[c] := pair_days[p];
                old_key_days[c] := key_days[k];
                pair_days[p] := '{}';
                key_days[k] := rest_days[k];
                FOR q IN 1 .. cardinality(pair_keys) LOOP
                    IF pair_keys[q] = k THEN
                        key_days[k] := key_days[k] + pair_days[q];
                    END IF;
                END LOOP;
            WHEN 'clear' THEN
                IF key_days[k] @> claim_froms[c] THEN
                    refusal := 'blocked';
                    days := datemultirange(daterange(claim_froms[c], claim_froms[c], '[]'));
                END IF;
            END CASE;
            IF refusal IS NULL THEN
                CONTINUE;
            END IF;
            outcomes[a] := 'refused';
            details[a] := CASE
                WHEN refusal = 'held' THEN
                    json_build_object('claim', c, 'code', refusal, 'owner', hold_owners[k])
                WHEN refusal = 'blocked' THEN
                    -- The day after the last barred one, of the days in a row that the refused day belongs to.
                    json_build_object('claim', c, 'code', refusal, 'until',
                        (SELECT max(upper(r)) FROM unnest(key_days[k]) r WHERE r && days))
                ELSE
                    json_build_object('claim', c, 'code', refusal, 'used', counter_useds[k],
                                      'limit', counter_maximums[k])
                END;
            FOR u IN REVERSE c - 1 .. c_first LOOP
                k := claim_keys[u];
                CASE claim_kinds[u]
                WHEN 'count' THEN counter_useds[k] := old_useds[u];
                WHEN 'limit' THEN counter_maximums[k] := old_maximums[u];
                WHEN 'take', 'release' THEN hold_owners[k] := old_owners[u];
                WHEN 'block', 'unblock' THEN
                    pair_days[claim_pairs[u]] := old_pair_days[u];
                    key_days[k] := old_key_days[u];
                ELSE NULL;
                END CASE;
            END LOOP;
            EXIT;
        END LOOP;
        CONTINUE WHEN outcomes[a] IS NOT NULL;

        outcomes[a] := 'appended';
        FOR w IN w_first .. w_next - 1 LOOP
            s := write_streams[w];
            b := stream_books[s];
            book_sequences[b] := book_sequences[b] + write_counts[w];
            write_lasts[w] := book_sequences[b];
            stream_versions[s] := stream_versions[s] + write_counts[w];
        END LOOP;
    END LOOP;
END
$$;
