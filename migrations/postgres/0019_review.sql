-- What the holder of a card reported (`lost`, `stolen`, `device_change`) while somebody else's lock stood. When that lock is
-- given back, the card stays locked for what was reported.
ALTER TABLE cards ADD COLUMN reported TEXT;

-- A proposal is approved whole. One whose first approval was of a part of it waits for that again: the second would approve
-- what nobody else did. `approved_fields` is not written any more.
UPDATE proposals SET state = CASE WHEN appealed_at IS NULL THEN 'open' ELSE 'appealed' END, first_approved_by = NULL,
    first_approved_at = NULL, approved_fields = NULL WHERE state = 'first_approved' AND approved_fields IS NOT NULL;

-- Evidence of what was decided long ago is cleared away. Whoever removes a file marks its row first, by an empty name of a
-- proposal: nothing can be done with it from then on.
CREATE INDEX evidence_used ON evidence (created_at) WHERE proposal IS NOT NULL;
