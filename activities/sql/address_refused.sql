-- Whether an address was refused, or what was sent to it came back, within the interval $2.
SELECT EXISTS (
    SELECT FROM app.deliveries
    WHERE address_digest = $1 AND coalesce(bounced_at, at) > clock_timestamp() - $2::interval
      AND problem IN ('the recipient was refused', 'the mail came back')
) OR EXISTS (
    SELECT FROM app.deliveries
    WHERE address_digest = $1 AND bounced_at > clock_timestamp() - $2::interval
      AND problem = 'the text message did not arrive'
)
