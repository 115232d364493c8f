-- Requests on their way to the wallet provider, sealed: the name, birthday and phone number a relying party gave, for the
-- seconds until they are handed over, or the two minutes of the request. Owner: verifier/push_store.py.

CREATE TABLE push_out (
    id TEXT PRIMARY KEY,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX push_out_expires ON push_out (expires_at);
