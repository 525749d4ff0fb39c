-- Units of levels 2 and deeper (Decision 20/2020/QĐ-TTg), loaded by the operator. Level 1 ships with the program.
CREATE TABLE units (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL
);

-- Codes of the Ministry's lists with their real labels, loaded by the operator over the shipped placeholders.
CREATE TABLE code_labels (
    list TEXT NOT NULL,
    code TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (list, code)
);

-- A personnel record: one row for each (managing unit, number that it gave), always at its current version. What the
-- population database and the unit said is of this version only: a new version starts without either. `run` is the
-- import that wrote the version, which tells a key that comes twice in one file.
CREATE TABLE records (
    id TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    number TEXT NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT NOT NULL,
    run TEXT NOT NULL,
    person TEXT,
    changed_at BIGINT NOT NULL,
    population TEXT NOT NULL DEFAULT 'pending',
    population_detail TEXT NOT NULL DEFAULT '',
    checked_at BIGINT,
    tried_at BIGINT,
    confirmed_at BIGINT,
    confirmed_by TEXT,
    UNIQUE (unit, number)
);
CREATE INDEX records_by_person ON records (person);
CREATE INDEX records_pending ON records (id) WHERE population = 'pending';

-- Every version that a record ever had; the content is canonical JSON of the catalogue named. Versions are only added.
CREATE TABLE record_versions (
    record TEXT NOT NULL REFERENCES records (id),
    version BIGINT NOT NULL,
    catalogue TEXT NOT NULL,
    content TEXT NOT NULL,
    run TEXT NOT NULL,
    line BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (record, version)
);

-- Portraits, each once, by the SHA-256 of its bytes in hexadecimal.
CREATE TABLE portraits (
    sha256 TEXT PRIMARY KEY,
    bytes BYTEA NOT NULL
);

-- Imports: how far one file (by the SHA-256 of its bytes) has come. Moves with the rows in the same transaction, so that
-- a killed import is completed by the next run and counted once.
CREATE TABLE import_runs (
    file TEXT PRIMARY KEY,
    actor TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    line BIGINT NOT NULL,
    new_count BIGINT NOT NULL,
    changed_count BIGINT NOT NULL,
    unchanged_count BIGINT NOT NULL,
    finished_at BIGINT
);
