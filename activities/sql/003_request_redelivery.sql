-- Ask for an organisation's notices to be posted once more to one of its endpoints: `wanted`, or those of a span of
-- time (from `since`, before `before`) that the endpoint wants, oldest first, at most `most`. Those that the endpoint
-- waits for anyway are left out, and with `missing_only` those that it has taken. Asking again under the same command
-- changes nothing. Gives how many wait because of this command.
CREATE OR REPLACE FUNCTION app.request_redelivery(
    IN command uuid, IN of_organisation text, IN at_endpoint text, IN wanted uuid,
    IN since timestamptz, IN before timestamptz, IN missing_only boolean, IN most integer
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.webhook_requests (command_id, organisation, endpoint, outbox_id, kind)
    SELECT command, of_organisation, at_endpoint, notice.id, 'redelivery'
    FROM ledger.outbox notice, LATERAL (
        SELECT EXISTS (
            SELECT FROM app.deliveries taken
            WHERE taken.outbox_id = notice.id AND taken.channel = 'webhook' AND taken.endpoint = at_endpoint
              AND taken.problem = ''
        ) AS is_taken
    ) known
    WHERE notice.recipient = of_organisation
      AND (wanted IS NULL OR notice.id = wanted)
      AND (since IS NULL OR notice.created_at >= since)
      AND (before IS NULL OR notice.created_at < before)
      AND (wanted IS NOT NULL OR EXISTS (
          SELECT FROM app.webhook_endpoints e
          WHERE e.id = at_endpoint AND (e.event_types IS NULL OR notice.topic = ANY (e.event_types))
      ))
      AND (notice.delivered_at IS NOT NULL OR is_taken)
      AND NOT (missing_only AND is_taken)
    ORDER BY notice.position
    LIMIT most
    ON CONFLICT DO NOTHING;
    RETURN (SELECT count(*) FROM app.webhook_requests WHERE command_id = command);
END
$$;

REVOKE ALL ON FUNCTION app.request_redelivery FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'xunji_app') THEN
        GRANT EXECUTE ON FUNCTION app.request_redelivery TO xunji_app;
    END IF;
END
$$;
