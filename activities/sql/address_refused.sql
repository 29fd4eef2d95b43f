-- Whether an address was refused, or mail to it came back, within the interval $2.
SELECT EXISTS (
    SELECT FROM app.deliveries
    WHERE address_digest = $1 AND coalesce(bounced_at, at) > clock_timestamp() - $2::interval
      AND problem IN ('the recipient was refused', 'the mail came back')
)
