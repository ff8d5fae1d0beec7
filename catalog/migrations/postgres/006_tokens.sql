-- Tokens of the HTTP service. A row is never deleted, so that a revoked token stays known as such.

CREATE TABLE tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- the part of the token that is no secret
    name TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL, -- SHA-256 of the whole token, in hexadecimal; the token itself is nowhere
    grants TEXT COLLATE "C" NOT NULL, -- JSON: rights and topics
    created_at BIGINT NOT NULL,
    expires_at BIGINT, -- NULL: never
    revoked_at BIGINT -- NULL: not revoked
);
CREATE UNIQUE INDEX idx_tokens_name ON tokens (name) WHERE revoked_at IS NULL;
