-- Systems of units that speak the Ministry's synchronisation interface: one account for each, tied to a sending agency and
-- the units below it. `confirms`: whether what it sends counts as confirmed by the unit. `failures` counts logins since the
-- last good one, each before its password is looked at, so that many at once get no more guesses than one after the other.
CREATE TABLE sync_accounts (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    org_code TEXT NOT NULL,
    confirms BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    locked_until BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    blocked_at BIGINT
);

-- Tokens, as SHA-256.
CREATE TABLE sync_tokens (
    hash TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES sync_accounts (name),
    expires_at BIGINT NOT NULL
);

-- The number that a sending agency calls a dossier by, and the managing unit under which we keep it: the number is unique
-- within the agency, the record's key is (managing unit, number). A call that adds the dossier holds the row until
-- `claimed_until`, so that of two at once, whatever units they name, one waits.
CREATE TABLE sync_keys (
    org TEXT NOT NULL,
    number TEXT NOT NULL,
    unit TEXT NOT NULL,
    claimed_by TEXT NOT NULL,
    claimed_until BIGINT NOT NULL,
    PRIMARY KEY (org, number)
);
CREATE INDEX sync_keys_claimed ON sync_keys (claimed_by) WHERE claimed_until > 0;
CREATE INDEX sync_keys_by_number ON sync_keys (number, unit);
CREATE INDEX records_by_number ON records (number, unit);

-- The log of calls, for the sending unit to read: no names, no numbers, no values of people. `begun`: under way, or ended
-- without an answer. `repeats`: the call that this one repeated after a lost answer.
CREATE TABLE sync_calls (
    transaction_id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    account TEXT NOT NULL,
    unit TEXT NOT NULL,
    operation TEXT NOT NULL,
    action TEXT,
    dossiers BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    codes TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    digest TEXT NOT NULL,
    repeats TEXT,
    message TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX sync_calls_by_time ON sync_calls (at, transaction_id);
CREATE INDEX sync_calls_by_digest ON sync_calls (account, digest);
