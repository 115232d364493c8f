-- What a relying party was given here says when it was last used, to the day, so that its owner knows what to end.
ALTER TABLE till ADD COLUMN used_at BIGINT;
ALTER TABLE api_key ADD COLUMN used_at BIGINT;
ALTER TABLE login_client ADD COLUMN used_at BIGINT;
CREATE INDEX till_party ON till (relying_party);
CREATE INDEX check_session_party ON check_session (relying_party) WHERE state <> 'ended';

-- Keys with which this verifier asks for relying parties, one an application, so that one that comes to nothing leaves
-- nothing. x509_hash: of the certificate it was taken up with. Owner: verifier/site/hosting_store.py.
CREATE TABLE hosted_key (
    name TEXT PRIMARY KEY,
    party TEXT NOT NULL,
    x509_hash TEXT,
    made_at BIGINT NOT NULL
);
INSERT INTO hosted_key (name, party, made_at) SELECT 'access-' || party, party, made_at FROM hosted_party;
DROP TABLE hosted_party;

-- Relying parties of this verifier as the trust list last had them: what one was given ends with its registration.
-- Owner: verifier/site/hosting_store.py.
CREATE TABLE known_party (
    party TEXT PRIMARY KEY,
    x509_hash TEXT NOT NULL,
    away_since BIGINT,
    ended_at BIGINT
);
