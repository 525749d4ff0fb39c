-- The change feed: what happened to which card. Numbers have no gap: they are drawn from the counter's one row as the
-- last thing of the transaction that the change is part of, so whoever draws next waits until this one is visible, and
-- a reader never sees a number before the smaller ones. `reason` is a code; nothing here is personal. Append-only.
CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    card TEXT NOT NULL,
    unit TEXT NOT NULL,
    reason TEXT,
    other_card TEXT
);
CREATE TABLE event_counter (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);

-- The feed begins with the cards that were there before it: each as made, and as it is now unless it is in force.
INSERT INTO events (seq, at, kind, card, unit, reason, other_card)
SELECT ROW_NUMBER() OVER (ORDER BY at, step, card), at, kind, card, unit, reason, other_card FROM (
    SELECT cards.created_at AS at, 0 AS step, 'card.created' AS kind, cards.handle AS card, cards.unit AS unit,
        NULL AS reason, earlier.handle AS other_card
    FROM cards LEFT JOIN cards AS earlier ON earlier.replaced_by = cards.handle
    UNION ALL
    SELECT state_at, 1, CASE
        WHEN replaced_by IS NULL THEN 'card.' || state
        WHEN state_reason IN ('transferred', 'position_changed', 'data_changed') THEN 'card.refreshed'
        ELSE 'card.replaced' END, handle, unit, state_reason, replaced_by
    FROM cards WHERE state <> 'active'
) AS past;
INSERT INTO event_counter (id, last) SELECT 1, COUNT(*) FROM events;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the change feed is append-only'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the change feed is append-only'); END;

-- How far each subscriber of webhooks has got. Everything up to `delivered_seq` was acknowledged; a delivery under way
-- goes up to `sending_seq` and keeps that end when it is repeated. Whoever sends has claimed the row: `next_attempt_at`
-- is then when the claim ends, and `claim` tells whether it is still the same one.
CREATE TABLE webhook_cursors (
    name TEXT PRIMARY KEY,
    delivered_seq BIGINT NOT NULL,
    sending_seq BIGINT,
    next_attempt_at BIGINT NOT NULL,
    claim BIGINT NOT NULL DEFAULT 0,
    failures BIGINT NOT NULL DEFAULT 0,
    parked_at BIGINT,
    outcome TEXT
);

-- Offers that are pushed to the backend, written with the offer. The same claim as above, by `attempts`.
CREATE TABLE offer_pushes (
    offer TEXT PRIMARY KEY REFERENCES offers (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    delivered_at BIGINT,
    outcome TEXT
);
CREATE INDEX offer_pushes_due ON offer_pushes (next_attempt_at) WHERE delivered_at IS NULL;
