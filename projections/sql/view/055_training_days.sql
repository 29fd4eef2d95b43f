-- One row per person and 继续教育周期: what stands after all entries, reversed ones included.
CREATE TABLE IF NOT EXISTS training_days (
    number           text COLLATE "C" PRIMARY KEY,
    version          bigint NOT NULL CHECK (version > 0),
    sequence         bigint NOT NULL CHECK (sequence > 0),
    person           uuid NOT NULL,
    cycle            text COLLATE "C" NOT NULL,
    centralised_days integer NOT NULL,
    online_days      integer NOT NULL,
    hours            integer NOT NULL
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS training_days_by_cycle ON training_days (cycle, number);
CREATE INDEX IF NOT EXISTS training_days_by_person ON training_days (person);
