-- What a wallet was allowed: by redeeming an offer, or by the person's consent after signing in at VNeID. Its access and
-- refresh tokens carry its id under a MAC and stand nowhere; revoking the grant ends them all. A grant is for a record:
-- it serves the card that is in force for it, so that a card whose facts changed comes anew without the person. While
-- `card` is null the record is under review. `instance_key` is the attested key that refreshing is
-- bound to, `dpop_key` takes its place for a wallet that does not authenticate itself.
-- It is of one person: a record that comes to be another's serves it no more. `card` is the newest card that it served,
-- and only what replaced that card because its facts changed is served next. `token_key` is the DPoP key that it began with.
CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    record_id TEXT NOT NULL,
    person TEXT NOT NULL,
    card TEXT,
    client TEXT,
    instance_key TEXT,
    dpop_key TEXT,
    token_key TEXT,
    configurations TEXT NOT NULL,
    by_details BIGINT NOT NULL,
    offer TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX grants_by_record ON grants (record_id);

-- A pushed authorization request on its way: pushed, visited by a browser, signed in, decided, redeemed. `id` is the
-- SHA-256 of the random part of its request_uri, `browser` that of the cookie, `code` that of the authorization code.
CREATE TABLE authorizations (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    state TEXT,
    code_challenge TEXT NOT NULL,
    configurations TEXT NOT NULL,
    by_details BIGINT NOT NULL,
    dpop_key TEXT,
    instance_key TEXT,
    offer TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    browser TEXT,
    person TEXT,
    record_id TEXT,
    card TEXT,
    code TEXT UNIQUE,
    code_expires_at BIGINT,
    ended_at BIGINT,
    redeemed_at BIGINT,
    grant_id TEXT
);
CREATE INDEX authorizations_by_end ON authorizations (expires_at);

-- A credential request that waits for its record to be verified; `holders` are the proved public keys.
CREATE TABLE deferrals (
    id TEXT PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES grants (id),
    configuration TEXT NOT NULL,
    holders TEXT NOT NULL,
    nonce TEXT NOT NULL UNIQUE,
    request_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    delivered_at BIGINT
);

-- An offer names the OAuth grants it can be taken by and, redeemed, the grant that it became. The columns token_hash,
-- token_expires_at, token_used_at and wallet_client of 0004 are no longer written.
ALTER TABLE offers ADD COLUMN grant_types TEXT NOT NULL DEFAULT 'pre-authorized_code';
ALTER TABLE offers ADD COLUMN grant_id TEXT;
ALTER TABLE issuances ADD COLUMN grant_id TEXT;

-- What is over is cleared away by its end.
CREATE INDEX client_assertions_by_end ON client_assertions (expires_at);

-- Which version of a record was compared with the card in force. Those that are ahead are few: they have an index.
ALTER TABLE records ADD COLUMN compared_version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX records_not_compared ON records (id)
    WHERE population = 'matched' AND confirmed_at IS NOT NULL AND compared_version < version;

-- What the background looks for: cards whose term is over, and what is cleared away by its end. The index by grant
-- also serves the foreign key when a grant goes, and the count of requests of one grant that wait.
CREATE INDEX deferrals_by_grant ON deferrals (grant_id, delivered_at);
CREATE INDEX deferrals_by_end ON deferrals (expires_at);
CREATE INDEX api_tokens_by_end ON api_tokens (expires_at);
CREATE INDEX cards_by_term ON cards (valid_until) WHERE state IN ('active', 'locked');
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE INDEX grants_by_revocation ON grants (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX offers_by_end ON offers (expires_at);
CREATE INDEX authorizations_with_person ON authorizations (expires_at) WHERE person IS NOT NULL;
CREATE INDEX authorizations_by_record ON authorizations (record_id) WHERE code IS NOT NULL;
CREATE INDEX offers_by_card ON offers (card);
