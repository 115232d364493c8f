-- Applications of relying parties. Owner: trust/onboarding_store.py. A row changes with its state; what became of it is
-- also in the audit chain, and what was agreed on in the tables of the registry.

CREATE TABLE rp_application (
    id TEXT PRIMARY KEY,
    link BYTEA NOT NULL,
    party TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    version BIGINT NOT NULL,
    source TEXT NOT NULL,
    filer TEXT NOT NULL,
    note TEXT NOT NULL,
    noted_by TEXT NOT NULL,
    proposal TEXT,
    x509_hash TEXT,
    key_jwk TEXT,
    made_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX rp_application_link ON rp_application (link);
-- An id is one application's until that has ended without a registration.
CREATE UNIQUE INDEX rp_application_party ON rp_application (party) WHERE state NOT IN ('refused', 'withdrawn', 'ended');
CREATE INDEX rp_application_state ON rp_application (state, changed_at);
