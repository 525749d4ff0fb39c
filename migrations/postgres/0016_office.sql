-- Officers of the unit offices: one account of one person. `subject` is the account at the sign-in, `person` a keyed
-- hash of the officer's own personal number, once the sign-in told it. No unit is the whole nation. Accounts are never
-- deleted: audit lines name them.
CREATE TABLE officers (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    unit TEXT,
    role TEXT NOT NULL,
    person TEXT UNIQUE,
    valid_until BIGINT,
    blocked_at BIGINT,
    signed_in_at BIGINT,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX officers_by_name ON officers (name, id);

-- Sessions of officers, by the SHA-256 of the cookie: what stands here opens nothing. A session that is over has no row.
CREATE TABLE office_sessions (
    token TEXT PRIMARY KEY,
    officer TEXT NOT NULL REFERENCES officers (id),
    authenticated_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX office_sessions_by_officer ON office_sessions (officer);

-- The name that a card prints as an office looks for it: without case and accents, every word after a space. Cards of
-- before get theirs from the program.
ALTER TABLE cards ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
CREATE INDEX cards_by_age ON cards (created_at, handle);
CREATE INDEX cards_without_name ON cards (handle) WHERE search_name = '';
