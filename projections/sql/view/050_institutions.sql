-- One row per organisation that takes part.
CREATE TABLE IF NOT EXISTS institutions (
    id            text COLLATE "C" PRIMARY KEY,
    version       bigint NOT NULL CHECK (version > 0),
    sequence      bigint NOT NULL CHECK (sequence > 0),
    kind          text COLLATE "C" NOT NULL,
    name_zh       text NOT NULL,
    parent        text COLLATE "C" NOT NULL,
    email         text NOT NULL,
    gb_code       text,
    generated     boolean NOT NULL,
    registered_at timestamptz NOT NULL,
    successor     text COLLATE "C" NOT NULL DEFAULT '',
    suspended_until date
);
CREATE INDEX IF NOT EXISTS institutions_by_parent ON institutions (parent, id);
