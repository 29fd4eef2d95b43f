-- Which build of the views this schema is. `filled_at` is empty while it is being filled beside the live one.
CREATE TABLE IF NOT EXISTS build (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    number      integer NOT NULL CHECK (number > 0),
    versions    text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    filled_at   timestamptz,
    switched_at timestamptz CHECK (switched_at IS NULL OR filled_at IS NOT NULL)
);
