-- The shortest way, for a caller who comes alone with one event for one stream and nothing else. It does what
-- `ledger.append_plain` does, with scalars: where it cannot, it raises XJ001 and nothing is stored.
CREATE OR REPLACE FUNCTION ledger.append_one(
    IN book_name text, IN new_command_id uuid, IN new_content_hash bytea, IN new_reply bytea, IN at timestamptz,
    IN stream_name text, IN expected bigint, IN event_id uuid, IN event_type text, IN event_schema_version integer,
    IN event_effective_at timestamptz, IN event_head text, IN event_tail text,
    OUT last_sequence bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event_body bytea;
BEGIN
    UPDATE ledger.books h SET sequence = h.sequence + 1
    WHERE h.book = book_name AND h.sequence > 0
    RETURNING h.sequence INTO last_sequence;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the book has no events yet' USING ERRCODE = 'XJ001';
    END IF;
    INSERT INTO ledger.commands (command_id, content_hash, reply, recorded_at)
    VALUES (new_command_id, new_content_hash, new_reply, at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a command id was used before' USING ERRCODE = 'XJ001';
    END IF;
    IF expected = 0 THEN
        INSERT INTO ledger.streams (book, stream, version) VALUES (book_name, stream_name, 1) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE ledger.streams h SET version = expected + 1
        WHERE h.book = book_name AND h.stream = stream_name AND h.version = expected;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the stream has another version' USING ERRCODE = 'XJ001';
    END IF;
    event_body := convert_to(event_head || last_sequence || event_tail, 'UTF8');
    INSERT INTO ledger.events (sequence, version, recorded_at, effective_at, schema_version, id, command_id, book, stream,
                               type, leaf_hash, body)
    VALUES (last_sequence, expected + 1, at, coalesce(event_effective_at, at), event_schema_version, event_id,
            new_command_id, book_name, stream_name, event_type, sha256('\x00'::bytea || event_body), event_body);
END
$$;
