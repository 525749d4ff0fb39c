-- A unit that a reorganisation closed, the first day on which it is no more, and the unit that took its people.
ALTER TABLE units ADD COLUMN closed_on TEXT;
ALTER TABLE units ADD COLUMN successor TEXT;

-- Mergers, splits and renamings: a plan (`draft`), a plan that acts on its day (`scheduled`), and what is under way
-- (`running`, `paused`) or over (`done`). `place` is the last record that was looked at; whoever runs a wave has the lease.
CREATE TABLE reorganisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    decision TEXT NOT NULL,
    effective_on TEXT NOT NULL,
    effective_at BIGINT NOT NULL,
    moves TEXT NOT NULL,
    wave_size BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    place TEXT NOT NULL DEFAULT '',
    leased_until BIGINT NOT NULL DEFAULT 0,
    waves BIGINT NOT NULL DEFAULT 0,
    moved BIGINT NOT NULL DEFAULT 0,
    cards BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX reorganisations_at_work ON reorganisations (effective_at) WHERE state IN ('scheduled', 'running');

-- Records that could not be moved, for a person to look at.
CREATE TABLE reorganisation_failures (
    reorganisation TEXT NOT NULL REFERENCES reorganisations (id),
    record TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (reorganisation, record)
);
