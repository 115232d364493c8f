-- RFC 9126: what a site's server asked ahead of its visitor's browser, for a minute and one use; `reference` is a hash of
-- the request_uri. About the person there is nothing in it. Owner: verifier/login/store.py.
CREATE TABLE login_pushed (
    reference BYTEA PRIMARY KEY,
    client TEXT NOT NULL,
    request TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_pushed_expires ON login_pushed (expires_at);
