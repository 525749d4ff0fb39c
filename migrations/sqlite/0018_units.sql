-- States of units as they were handed out to be signed, with the leaves of their trees: what comes back signed is looked
-- up here by its digest, however the records have moved on since. Kept for a day.
CREATE TABLE approval_drafts (
    document_sha256 TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    document TEXT NOT NULL,
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

-- The number under which the record is kept, where a reorganisation changed it: the sending agency goes on with its own.
ALTER TABLE sync_keys ADD COLUMN kept TEXT;
CREATE INDEX sync_keys_by_kept ON sync_keys (COALESCE(kept, number), unit);
