-- A question asked across devices, whose verdict waits for the code that only the phone shows: a keyed hash of it, and
-- how often another one was typed.
ALTER TABLE check_session ADD COLUMN typed_code BYTEA;
ALTER TABLE check_session ADD COLUMN typed_wrong BIGINT NOT NULL DEFAULT 0;

-- The OpenID Connect bridge: owner verifier/login_store.py. A client is one site or app of a relying party. `secret` is
-- the SHA-256 of 256 random bits; `keys` a JWK Set; one of them, or neither for a public client.
CREATE TABLE login_client (
    id TEXT PRIMARY KEY,
    relying_party TEXT NOT NULL,
    method TEXT NOT NULL,
    secret BYTEA,
    keys TEXT,
    redirect_uris TEXT NOT NULL,
    logout_uris TEXT NOT NULL,
    sector TEXT NOT NULL,
    alg TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);

-- One log-in, from the site's redirect to ours until the code goes back. `browser` is a hash of a cookie, `request` what
-- the site asked; about the person there is nothing in it.
CREATE TABLE login_request (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    browser TEXT NOT NULL,
    request TEXT NOT NULL,
    check_id TEXT,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_request_expires ON login_request (expires_at);

-- A code and the access token it was changed for are one grant: `claims` (sealed) is what the site may learn, and goes
-- with the row, minutes later.
CREATE TABLE login_grant (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    code BYTEA NOT NULL UNIQUE,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    nonce TEXT,
    scope TEXT NOT NULL,
    claims BYTEA,
    state TEXT NOT NULL,
    token BYTEA UNIQUE,
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_grant_expires ON login_grant (expires_at);

-- RFC 7523 3: the jti of a client's assertion, until the assertion would have expired.
CREATE TABLE login_assertion (
    digest BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- Which key signs from when on. A key is published before it signs, and for a while after.
CREATE TABLE login_key (
    name TEXT PRIMARY KEY,
    alg TEXT NOT NULL,
    signs_from BIGINT NOT NULL
);
