-- One row per class and day: the marks that stand, and who was told that he cannot pass any more, are in `state`.
CREATE TABLE IF NOT EXISTS attendance (
    number         text COLLATE "C" PRIMARY KEY,
    version        bigint NOT NULL CHECK (version > 0),
    sequence       bigint NOT NULL CHECK (sequence > 0),
    campaign       text COLLATE "C" NOT NULL,
    training_class text COLLATE "C" NOT NULL,
    day            date NOT NULL,
    marks          integer NOT NULL CHECK (marks >= 0),
    corrected      boolean NOT NULL,
    state          jsonb NOT NULL
) WITH (fillfactor = 60);
CREATE INDEX IF NOT EXISTS attendance_by_class ON attendance (training_class, day);
