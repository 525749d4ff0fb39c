-- What reviewers do with proposals. `approved_fields` are the codes that were approved when that is not all of them (JSON),
-- already chosen by the first of two approvals; `waits_until` is the day on which an approved change acts.
ALTER TABLE proposals ADD COLUMN approved_fields TEXT;
ALTER TABLE proposals ADD COLUMN waits_until TEXT;
CREATE INDEX proposals_by_unit ON proposals (unit, due_at);
CREATE INDEX waiting_changes_of_proposals ON waiting_changes (reference) WHERE way = 'update';

-- A reviewer says that they work on a proposal, so that nobody else begins: a hint that ends by itself. What counts is the
-- state of the proposal.
CREATE TABLE proposal_claims (
    proposal TEXT PRIMARY KEY,
    reviewer TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX proposal_claims_by_reviewer ON proposal_claims (reviewer);

-- What was decided about a proposal, in order; rows are only added. `decision` is approved_first, approved, refused or
-- appeal_refused; `on_behalf_of` is whose right it was, by the delegation named. `working_minutes` is how long it had waited.
CREATE TABLE decisions (
    proposal TEXT NOT NULL,
    place BIGINT NOT NULL,
    unit TEXT NOT NULL,
    decision TEXT NOT NULL,
    reviewer TEXT NOT NULL,
    on_behalf_of TEXT,
    delegation TEXT,
    fields TEXT NOT NULL,
    reason TEXT,
    note TEXT,
    working_minutes BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (proposal, place)
);
CREATE INDEX decisions_by_time ON decisions (at);

-- An officer lends another one the right to decide, in a unit and below it, until a day. It is worth what the lender's own
-- right is worth at that moment, and cannot be lent on.
CREATE TABLE delegations (
    id TEXT PRIMARY KEY,
    lender TEXT NOT NULL,
    borrower TEXT NOT NULL,
    unit TEXT NOT NULL,
    includes_sensitive BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX delegations_by_borrower ON delegations (borrower, expires_at);
CREATE INDEX delegations_by_lender ON delegations (lender, created_at);

-- A version of a record that the unit sent back to whoever sent it, instead of confirming it. Of a newer version it says
-- nothing.
CREATE TABLE record_returns (
    record TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    reason TEXT NOT NULL,
    note TEXT NOT NULL,
    officer TEXT NOT NULL,
    at BIGINT NOT NULL
);
