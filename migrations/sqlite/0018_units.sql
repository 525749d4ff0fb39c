-- States of units as they were handed out to be signed, by their digests with the leaves of their trees: what comes back signed is looked
-- up here by its digest, however the records have moved on since. Kept for a day.
CREATE TABLE approval_drafts (
    document_sha256 TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    made_at BIGINT NOT NULL
);
CREATE INDEX approval_drafts_by_unit ON approval_drafts (unit, made_at);
CREATE INDEX approval_drafts_by_age ON approval_drafts (made_at);
CREATE TABLE approval_draft_leaves (
    document_sha256 TEXT NOT NULL REFERENCES approval_drafts (document_sha256) ON DELETE CASCADE,
    part BIGINT NOT NULL,
    leaves TEXT NOT NULL,
    PRIMARY KEY (document_sha256, part)
);

-- The employing unit and the place of work as the current version names them: people who work in a unit that is
-- reorganised are found by them, whoever manages their records.
ALTER TABLE records ADD COLUMN using_unit TEXT;
ALTER TABLE records ADD COLUMN work_unit TEXT;
UPDATE records SET
    using_unit = (SELECT json_extract(content, '$.using_unit_code') FROM record_versions
                  WHERE record_versions.record = records.id AND record_versions.version = records.version),
    work_unit = (SELECT json_extract(content, '$.work_unit_code') FROM record_versions
                 WHERE record_versions.record = records.id AND record_versions.version = records.version);
CREATE INDEX records_by_unit ON records (unit, id) WHERE removed_at IS NULL;
CREATE INDEX records_by_using_unit ON records (using_unit, id) WHERE removed_at IS NULL AND using_unit <> unit;
CREATE INDEX records_by_work_unit ON records (work_unit, id) WHERE removed_at IS NULL AND work_unit <> unit;

-- A reorganisation goes through its records until a pass moves none: `pass_moved` counts those of the pass under way. A day
-- after it is done it looks once more (`checked_at`), for what was on its way when the units changed.
ALTER TABLE reorganisations ADD COLUMN pass_moved BIGINT NOT NULL DEFAULT 0;
ALTER TABLE reorganisations ADD COLUMN checked_at BIGINT;
UPDATE reorganisations SET checked_at = finished_at WHERE state = 'done';
CREATE INDEX reorganisations_to_check ON reorganisations (finished_at) WHERE state = 'done' AND checked_at IS NULL;

-- The number under which the record is kept, where a reorganisation changed it: the sending agency goes on with its own.
ALTER TABLE sync_keys ADD COLUMN kept TEXT;
CREATE INDEX sync_keys_by_kept ON sync_keys (COALESCE(kept, number), unit);

-- As long as a change that waited needs a decision, because others changed the same fields, it is in dispute what the
-- record says.
CREATE INDEX discrepancies_by_reference ON discrepancies (kind, reference);
CREATE TRIGGER waiting_changes_dispute_records AFTER UPDATE OF state ON waiting_changes
WHEN NEW.state = 'conflict'
BEGIN INSERT INTO discrepancies (record, kind, reference, opened_at)
VALUES (NEW.record, 'waiting', NEW.id, COALESCE(NEW.ended_at, NEW.created_at)) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER waiting_changes_dispute_records_no_more AFTER UPDATE OF state ON waiting_changes
WHEN NEW.state <> 'conflict' AND OLD.state = 'conflict'
BEGIN DELETE FROM discrepancies WHERE record = NEW.record AND kind = 'waiting' AND reference = NEW.id; END;
INSERT INTO discrepancies (record, kind, reference, opened_at)
SELECT record, 'waiting', id, COALESCE(ended_at, created_at) FROM waiting_changes WHERE state = 'conflict'
ON CONFLICT DO NOTHING;
