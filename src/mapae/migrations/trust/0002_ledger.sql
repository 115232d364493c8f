-- The trust log: its entries, the papers they point at, who voted, and the heads that were signed. Owner:
-- trust/ledger_store.py. Rows are added and never taken away; of a head only the cosignatures grow newer.

-- Entries of the embedded engine. log: 0 registry, 1 anchors. statement: the entry's own, to find it again.
CREATE TABLE ledger_entry (
    log BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    entry BYTEA NOT NULL,
    statement BYTEA NOT NULL,
    PRIMARY KEY (log, idx)
);
CREATE INDEX ledger_entry_statement ON ledger_entry (statement);

-- What parties and governors signed, by SHA-256 of the compact JWS.
CREATE TABLE ledger_statement (
    digest BYTEA PRIMARY KEY,
    signed TEXT NOT NULL,
    kept_at BIGINT NOT NULL
);

-- Governors' votes on an act. signed: the statement itself, or the approval of it by another governor.
CREATE TABLE ledger_vote (
    act BYTEA NOT NULL,
    voter BYTEA NOT NULL,
    statement BYTEA NOT NULL,
    signed TEXT NOT NULL,
    voted_at BIGINT NOT NULL,
    PRIMARY KEY (act, voter)
);
CREATE INDEX ledger_vote_statement ON ledger_vote (statement);

-- Public documents that entries point at, by SHA-256 of their bytes.
CREATE TABLE ledger_document (
    digest BYTEA PRIMARY KEY,
    body BYTEA NOT NULL,
    media TEXT NOT NULL,
    kept_at BIGINT NOT NULL
);

-- Heads we signed, written down before anybody sees them: a second head of the same size would be a fork.
-- note: the newest note that met the policy, once one did.
CREATE TABLE ledger_head (
    log BIGINT NOT NULL,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    signed_at BIGINT NOT NULL,
    note TEXT,
    published_at BIGINT,
    PRIMARY KEY (log, size)
);
