-- Checks that relying parties' own servers and pages put over HTTP. Owner of all three tables: verifier/api_store.py.

-- The key of one server of a relying party: of the key itself only a SHA-256.
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    relying_party TEXT NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    label TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    ended_at BIGINT
);

-- Whose check this is, and in which browser session of theirs its answer counts (a SHA-256 of the shop's own word for it;
-- NULL: the server that asked reads the answer itself). relying_party NULL: nobody registered asked.
CREATE TABLE api_check (
    id TEXT PRIMARY KEY,
    relying_party TEXT,
    asker TEXT NOT NULL,
    session BYTEA,
    return_to TEXT,
    retry BYTEA,
    said BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    read_at BIGINT
);
CREATE UNIQUE INDEX api_check_retry ON api_check (relying_party, retry) WHERE retry IS NOT NULL;
CREATE INDEX api_check_expires ON api_check (expires_at);

-- A question for anyone: yes or no, so that there is nothing to keep of its answer but the verdict.
CREATE TABLE anyone_check (
    id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    form TEXT NOT NULL,
    nonce TEXT NOT NULL,
    echo TEXT NOT NULL,
    secret BYTEA,
    opened_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT,
    step TEXT,
    code TEXT,
    note TEXT,
    format TEXT
);
CREATE INDEX anyone_check_expires ON anyone_check (expires_at);
