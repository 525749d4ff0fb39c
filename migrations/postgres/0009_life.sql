-- What a version came from: the way in, the thing there (a file's digest, a transaction, a proposal…), and who.
ALTER TABLE record_versions ADD COLUMN way TEXT NOT NULL DEFAULT 'import';
ALTER TABLE record_versions ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE record_versions ADD COLUMN actor TEXT NOT NULL DEFAULT '';

-- `match_key` is a digest of all that is compared with the population database: a version that has the same one as the
-- version before keeps what was found. `out_of_service` is the employment status of somebody who may not hold a card.
-- `confirmed_version` is the last version that the unit confirmed. A record of which the cards have still to be locked,
-- withdrawn or given back has `follow_due_at`. A record that its unit took back is kept, with `removed_at`.
ALTER TABLE records ADD COLUMN match_key TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN out_of_service TEXT;
ALTER TABLE records ADD COLUMN confirmed_version BIGINT;
ALTER TABLE records ADD COLUMN follow_due_at BIGINT;
ALTER TABLE records ADD COLUMN removed_at BIGINT;
UPDATE records SET confirmed_version = version WHERE confirmed_at IS NOT NULL;
CREATE INDEX records_to_follow ON records (follow_due_at) WHERE follow_due_at IS NOT NULL;
CREATE INDEX records_unconfirmed ON records (unit, id) WHERE confirmed_at IS NULL;

-- A lock that no person set: `status` (the record says that the holder is not in service) or `population` (the population
-- database says otherwise than the record). Only the cause that set it gives the card back; a person's step clears it.
ALTER TABLE cards ADD COLUMN hold TEXT;

-- That a card's term ends soon is told once.
ALTER TABLE cards ADD COLUMN warned_at BIGINT;
CREATE INDEX cards_to_warn ON cards (valid_until) WHERE warned_at IS NULL AND state IN ('active', 'locked');

-- Changes that are known today and act on a later day, as the set of fields that they change.
CREATE TABLE waiting_changes (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    unit TEXT NOT NULL,
    number TEXT NOT NULL,
    base_version BIGINT NOT NULL,
    catalogue TEXT NOT NULL,
    patch TEXT NOT NULL,
    due_on TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    way TEXT NOT NULL,
    reference TEXT NOT NULL,
    actor TEXT NOT NULL,
    confirmed_by TEXT,
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    ended_at BIGINT,
    ended_by TEXT,
    detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX waiting_changes_due ON waiting_changes (due_at) WHERE state = 'waiting';
CREATE INDEX waiting_changes_open ON waiting_changes (unit, id) WHERE state IN ('waiting', 'conflict');
CREATE INDEX waiting_changes_by_record ON waiting_changes (record) WHERE state IN ('waiting', 'conflict');
CREATE INDEX waiting_changes_by_key ON waiting_changes (unit, number) WHERE state IN ('waiting', 'conflict');
