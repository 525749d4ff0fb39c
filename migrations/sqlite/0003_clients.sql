-- Programs that call /api/v1. Their registration is configuration; here are the tokens they were given (as SHA-256)
-- and the assertions they have used (RFC 7523 section 3: a jti serves once).
CREATE TABLE api_tokens (
    hash TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE TABLE client_assertions (
    jti TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
