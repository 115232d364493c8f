-- Relying parties that asked for more than they are registered for. Owner: trust/complaint_store.py. Each row is backed by
-- a request the party itself signed; who was asked is nowhere.

CREATE TABLE complaint (
    party TEXT NOT NULL,
    purpose TEXT NOT NULL,
    items TEXT NOT NULL,
    reports BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (party, purpose, items)
);

-- Which requests have been reported: each counts once.
CREATE TABLE complaint_evidence (
    digest BYTEA PRIMARY KEY,
    at BIGINT NOT NULL
);
CREATE INDEX complaint_evidence_at ON complaint_evidence (at);
