-- One identity check: a person, an audience, and a code that was sent. The code is kept only as a keyed hash.
CREATE TABLE identity_check (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    name TEXT NOT NULL,
    phone_hint TEXT NOT NULL,
    audience TEXT NOT NULL,
    code_hash BYTEA NOT NULL,
    tries_left BIGINT NOT NULL,
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX identity_check_expires ON identity_check (expires_at);

-- How often somebody knocked in one window; subject is a keyed hash of a person's number, a phone or an address.
CREATE TABLE identity_knock (
    subject BYTEA NOT NULL,
    starts_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (subject, starts_at)
);
CREATE INDEX identity_knock_starts ON identity_knock (starts_at);
