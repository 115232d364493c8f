-- The authorization code flow: what a wallet has pushed, who signed in for it, and the code. Owner: authorize_store.py.

CREATE TABLE authorization_request (
    id TEXT PRIMARY KEY,
    uri_hash BYTEA NOT NULL,
    state TEXT NOT NULL,
    client_id TEXT NOT NULL,
    client_jkt TEXT NOT NULL,
    provider TEXT NOT NULL,
    request TEXT NOT NULL,
    browser_hash BYTEA,
    check_id TEXT NOT NULL,
    person TEXT,
    who BYTEA,
    order_id TEXT,
    code_hash BYTEA,
    expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX authorization_request_uri ON authorization_request (uri_hash);
CREATE UNIQUE INDEX authorization_request_code ON authorization_request (code_hash) WHERE code_hash IS NOT NULL;
CREATE INDEX authorization_request_expires ON authorization_request (expires);
