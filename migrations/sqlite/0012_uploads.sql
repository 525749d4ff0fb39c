-- Filled-in forms that units upload. The file itself lies outside the database, encrypted; `line` and `claim` let another
-- process go on where one was killed, and keep two from doing one upload at the same time.
--
-- receiving -> checking -> checked -> submitting -> done; or failed (the file cannot be read), cancelled.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    state TEXT NOT NULL,
    uploaded_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    bytes BIGINT NOT NULL DEFAULT 0,
    sha256 TEXT NOT NULL DEFAULT '',
    -- The field codes of the columns, as a JSON array.
    columns TEXT NOT NULL DEFAULT '[]',
    -- The last line that is durable in this state, and how much of the file was read with it.
    line BIGINT NOT NULL DEFAULT 0,
    bytes_done BIGINT NOT NULL DEFAULT 0,
    rows_done BIGINT NOT NULL DEFAULT 0,
    new_count BIGINT NOT NULL DEFAULT 0,
    changed_count BIGINT NOT NULL DEFAULT 0,
    unchanged_count BIGINT NOT NULL DEFAULT 0,
    fault_count BIGINT NOT NULL DEFAULT 0,
    changed_fields BIGINT NOT NULL DEFAULT 0,
    written_count BIGINT NOT NULL DEFAULT 0,
    waiting_count BIGINT NOT NULL DEFAULT 0,
    conflict_count BIGINT NOT NULL DEFAULT 0,
    -- Why the file as a whole cannot be read.
    fault_code TEXT,
    fault_vi TEXT,
    fault_en TEXT,
    -- What was asked when it was submitted.
    effective_on TEXT,
    only_good_rows BIGINT,
    submitted_at BIGINT,
    submitted_by TEXT,
    finished_at BIGINT,
    -- Who works on it: the number grows with each claim, so that one who lost it notices.
    claim BIGINT NOT NULL DEFAULT 0,
    claimed_until BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    began_at BIGINT,
    began_rows BIGINT NOT NULL DEFAULT 0,
    began_bytes BIGINT NOT NULL DEFAULT 0,
    -- When the file and the rows were cleared away.
    cleared_at BIGINT
);
CREATE INDEX uploads_newest ON uploads (created_at, id);
CREATE INDEX uploads_to_do ON uploads (claimed_until) WHERE state IN ('receiving', 'checking', 'submitting');
CREATE INDEX uploads_to_clear ON uploads (created_at) WHERE cleared_at IS NULL;

-- What was found of each row, and what became of it. Everything personal is in `sealed`, encrypted.
CREATE TABLE upload_rows (
    upload TEXT NOT NULL,
    line BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    unit TEXT NOT NULL,
    -- The version of the record that the row was compared with; 0 when there was none.
    base_version BIGINT NOT NULL,
    changed_fields BIGINT NOT NULL,
    waits_until TEXT,
    sealed BLOB NOT NULL,
    PRIMARY KEY (upload, line)
);
CREATE INDEX upload_rows_by_outcome ON upload_rows (upload, outcome, line);
