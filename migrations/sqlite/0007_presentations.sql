-- Transactions in which somebody is asked to present a card (OpenID4VP 1.0). What names a transaction to a wallet or
-- browser is kept as SHA-256: `page` is the page of the verifier, `request` and `response` are where the wallet fetches
-- the request and answers it, `response_code` is what the wallet brings the browser back with. They are derived from `id`
-- under the deployment's secret, so that the same call gives the same links. `terms` is the request as it was made: the
-- query, the client_id, what was promised to whom.
--
-- `nonce`, `wallet_state` and `sealed_key` are gone once the transaction is over, and `result` (the claims that were asked
-- for, nothing else) once it was fetched or has waited until `result_until`; key and result are encrypted under the
-- deployment's secret.
CREATE TABLE presentations (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT NOT NULL,
    template TEXT NOT NULL,
    terms TEXT NOT NULL,
    same_device BIGINT NOT NULL,
    page TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL UNIQUE,
    response TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    state_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    nonce TEXT,
    wallet_state TEXT,
    sealed_key TEXT,
    browser TEXT,
    response_code TEXT UNIQUE,
    reason TEXT,
    result TEXT,
    result_until BIGINT,
    -- The webhook of the client: told of the end, at least once. The claim is by `attempts`, as with offers.
    tells BIGINT NOT NULL,
    next_attempt_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX presentations_idempotency ON presentations (client, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX presentations_expiry ON presentations (expires_at);
CREATE INDEX presentations_result ON presentations (result_until) WHERE result IS NOT NULL;
CREATE INDEX presentations_due ON presentations (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
