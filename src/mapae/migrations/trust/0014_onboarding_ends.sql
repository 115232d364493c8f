-- An id is held by what was handed in, or registered, and by no draft. hosted: 1 once the verifier was asked for a key,
-- which is destroyed with the application. source is empty once nothing is counted by it any more. Owner:
-- trust/onboarding_store.py.
ALTER TABLE rp_application ADD COLUMN hosted BIGINT NOT NULL DEFAULT 0;
DROP INDEX rp_application_party;
CREATE UNIQUE INDEX rp_application_party ON rp_application (party) WHERE state IN ('waiting', 'returned', 'approved');
CREATE INDEX rp_application_source ON rp_application (source) WHERE source <> '';
