-- What the registry of trust was asked to change, and what two people made of it. Owner: trust/store.py.
-- Rows are added and never changed: what holds today is the last approved change of each subject.

CREATE TABLE trust_proposal (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    entry TEXT,
    replaces BIGINT NOT NULL,
    proposer TEXT NOT NULL,
    proposed_at BIGINT NOT NULL
);
CREATE INDEX trust_proposal_subject ON trust_proposal (kind, subject);

CREATE TABLE trust_decision (
    proposal TEXT PRIMARY KEY,
    approved BIGINT,
    decider TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX trust_decision_approved ON trust_decision (approved) WHERE approved IS NOT NULL;

-- Certificates our access authority gave to relying parties.
CREATE TABLE access_certificate (
    x509_hash TEXT PRIMARY KEY,
    relying_party TEXT NOT NULL,
    der BYTEA NOT NULL,
    issued_by TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL
);
CREATE INDEX access_certificate_party ON access_certificate (relying_party, issued_at);
