-- A card is one person's card from one verified record; `facts` are the approved facts that it says, frozen (portrait
-- apart, by its SHA-256). All credentials issued for it share its state. A record has at most one card in force.
CREATE TABLE cards (
    handle TEXT PRIMARY KEY,
    record_id TEXT NOT NULL,
    record_version BIGINT NOT NULL,
    person TEXT NOT NULL,
    unit TEXT NOT NULL,
    facts TEXT NOT NULL,
    portrait TEXT,
    state TEXT NOT NULL,
    state_at BIGINT NOT NULL,
    state_reason TEXT,
    created_at BIGINT NOT NULL,
    valid_until BIGINT NOT NULL,
    replaced_by TEXT,
    credentials_issued BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX cards_one_in_force ON cards (record_id) WHERE state IN ('active', 'locked');
CREATE INDEX cards_by_record ON cards (record_id, record_version);
CREATE INDEX cards_by_person ON cards (person);
CREATE INDEX cards_by_unit ON cards (unit);

-- An offer to one wallet. Its codes are derived from its id under the deployment's secret and stand nowhere. It is
-- redeemed once; the wallet's access token (as SHA-256) lives on the row. `token_used_at` tells a lost answer from a
-- second use of the code.
CREATE TABLE offers (
    id TEXT PRIMARY KEY,
    card TEXT NOT NULL REFERENCES cards (handle),
    client TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    configurations TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    failed_attempts BIGINT NOT NULL DEFAULT 0,
    redeemed_at BIGINT,
    wallet_client TEXT,
    token_hash TEXT UNIQUE,
    token_expires_at BIGINT,
    token_used_at BIGINT
);
CREATE UNIQUE INDEX offers_by_key ON offers (client, idempotency_key);

-- One answered credential request. Its id is the notification id; its nonce is thereby used. The digest of the request
-- recognises a repetition, which gets the same credentials signed again.
CREATE TABLE issuances (
    id TEXT PRIMARY KEY,
    nonce TEXT NOT NULL UNIQUE,
    request_hash TEXT NOT NULL,
    card TEXT NOT NULL REFERENCES cards (handle),
    offer TEXT,
    configuration TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    event TEXT,
    event_at BIGINT
);
CREATE INDEX issuances_by_card ON issuances (card);

-- Status lists. A position is drawn by one statement; the index that a credential gets is a secret permutation of its
-- position, so it is unique and unpredictable. `version` grows with every change of an entry.
CREATE TABLE status_lists (
    id BIGINT PRIMARY KEY,
    size BIGINT NOT NULL,
    secret TEXT NOT NULL,
    next_position BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 1,
    opened_at BIGINT NOT NULL
);

-- What was signed: which card, whose key, which status entry, which dates. The signed bytes are not kept.
CREATE TABLE credentials (
    id BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    card TEXT NOT NULL REFERENCES cards (handle),
    issuance TEXT NOT NULL REFERENCES issuances (id),
    holder TEXT NOT NULL,
    list_id BIGINT NOT NULL REFERENCES status_lists (id),
    list_index BIGINT NOT NULL,
    status BIGINT NOT NULL DEFAULT 0,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (list_id, list_index)
);
CREATE INDEX credentials_by_card ON credentials (card);
CREATE INDEX credentials_by_issuance ON credentials (issuance);
CREATE INDEX credentials_not_valid ON credentials (list_id) WHERE status <> 0;

-- Published trust lists: versions only grow, and verifiers refuse an older one.
CREATE TABLE trust_lists (
    version BIGINT PRIMARY KEY,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    bytes BYTEA NOT NULL
);
