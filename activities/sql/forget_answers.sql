-- Answers that are older than $1 are forgotten, at most $2 at a time.
UPDATE app.deliveries SET answer_sealed = NULL
WHERE id IN (
    SELECT id FROM app.deliveries WHERE answer_sealed IS NOT NULL AND at < clock_timestamp() - $1::interval LIMIT $2
)
