-- Matching records with the population database goes on in several processes: a record that one of them asks about is
-- claimed until an instant, so that it is asked about once, and again when that process died. `pending_at` and
-- `pending_reason` are set when a record is to be asked about again although nothing of it changed: its person changed at
-- the registry. `matched_key` is the `match_key` of the last good match, until a discrepancy: the same facts that were once
-- right are not any more. The freshest are asked about first.
ALTER TABLE records ADD COLUMN pending_at BIGINT;
ALTER TABLE records ADD COLUMN pending_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN claimed_until BIGINT;
ALTER TABLE records ADD COLUMN matched_key TEXT;
UPDATE records SET matched_key = match_key WHERE population = 'matched';
DROP INDEX records_pending;
CREATE INDEX records_to_match ON records (COALESCE(pending_at, changed_at), id) WHERE population = 'pending';
CREATE INDEX records_in_discrepancy ON records (population) WHERE population IN ('mismatched', 'not_found');
CREATE INDEX cards_on_hold ON cards (hold) WHERE hold IS NOT NULL;

-- Every question to the population database: who asked, why, about which version of which record, and how it ended. A row
-- is written before its question is sent; a question whose process died has no outcome. The outcome is written once;
-- nothing else is ever changed or deleted, and there are no personal data: `detail` holds codes of fields.
CREATE TABLE population_queries (
    seq BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    record TEXT NOT NULL,
    version BIGINT NOT NULL,
    officer TEXT NOT NULL,
    purpose TEXT NOT NULL,
    kind TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    outcome TEXT,
    detail TEXT NOT NULL DEFAULT '',
    answered_at BIGINT
);
CREATE INDEX population_queries_by_record ON population_queries (record, seq);
CREATE INDEX population_queries_by_answer ON population_queries (answered_at) WHERE answered_at IS NOT NULL;
CREATE FUNCTION keep_population_queries() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a query of the population database is never changed or deleted'; END $$;
CREATE TRIGGER population_queries_end_once BEFORE UPDATE ON population_queries FOR EACH ROW
WHEN (OLD.outcome IS NOT NULL OR NEW.outcome IS NULL OR NEW.seq <> OLD.seq OR NEW.record <> OLD.record
    OR NEW.version <> OLD.version OR NEW.officer <> OLD.officer OR NEW.purpose <> OLD.purpose OR NEW.kind <> OLD.kind
    OR NEW.asked_at <> OLD.asked_at)
EXECUTE FUNCTION keep_population_queries();
CREATE TRIGGER population_queries_are_never_deleted BEFORE DELETE OR TRUNCATE ON population_queries
FOR EACH STATEMENT EXECUTE FUNCTION keep_population_queries();

-- How far the registry's change feed was read: everything before `through` (Unix milliseconds); of the window up to
-- `until`, the pages before `page`. Whoever reads it claims the row: `next_at` is when the claim ends or the next round is
-- due, `claim` tells who still holds it.
CREATE TABLE population_feed (
    name TEXT PRIMARY KEY,
    through BIGINT NOT NULL,
    until BIGINT,
    page BIGINT NOT NULL,
    claim BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    round_at BIGINT,
    outcome TEXT NOT NULL DEFAULT ''
);
