-- The counter: who may sit at it, what was looked at, and the cases. Owners: officer_store.py, desk_store.py, portal_store.py.

CREATE TABLE officer (
    officer_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    office TEXT NOT NULL,
    active BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    failed_since BIGINT NOT NULL
);

CREATE TABLE passkey (
    credential_id TEXT PRIMARY KEY,
    officer_id TEXT NOT NULL,
    public_key BYTEA NOT NULL,
    sign_count BIGINT NOT NULL,
    label TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT,
    ended BIGINT
);
CREATE INDEX passkey_of_officer ON passkey (officer_id);

-- One challenge a browser (known by the hash of a cookie), used once.
CREATE TABLE officer_challenge (
    knock BYTEA PRIMARY KEY,
    challenge BYTEA NOT NULL,
    ceremony TEXT NOT NULL,
    officer_id TEXT,
    expires BIGINT NOT NULL
);

CREATE TABLE officer_session (
    token_hash BYTEA PRIMARY KEY,
    officer_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL
);

CREATE TABLE desk_case (
    case_id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    task TEXT NOT NULL,
    kind TEXT NOT NULL,
    office TEXT NOT NULL,
    officer_id TEXT NOT NULL,
    state TEXT NOT NULL,
    applicant BYTEA NOT NULL,
    phone TEXT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    steps BIGINT NOT NULL
);
-- Two desks cannot both work for one person on one document, in whatever office they stand.
CREATE UNIQUE INDEX one_open_case ON desk_case (person, task, kind) WHERE state IN ('open', 'filed', 'offered');
CREATE INDEX case_of_office ON desk_case (office, changed);

CREATE TABLE case_evidence (
    evidence_id TEXT PRIMARY KEY,
    case_id TEXT NOT NULL,
    need TEXT NOT NULL,
    officer_id TEXT NOT NULL,
    officer_name TEXT NOT NULL,
    at BIGINT NOT NULL,
    number_matches BIGINT,
    photo_matches BIGINT,
    undamaged BIGINT,
    same_person BIGINT
);
CREATE INDEX evidence_of_case ON case_evidence (case_id);

CREATE TABLE case_step (
    case_id TEXT NOT NULL,
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    officer_id TEXT NOT NULL,
    officer_name TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (case_id, n)
);

-- The text of the QR that is on the desk's screen now, sealed.
CREATE TABLE desk_offer (
    case_id TEXT PRIMARY KEY,
    offer_id TEXT NOT NULL,
    uri BYTEA NOT NULL,
    expires BIGINT NOT NULL
);

-- Which person an officer has found, for which reason; a look without a row here is refused.
CREATE TABLE desk_look (
    look_id TEXT PRIMARY KEY,
    officer_id TEXT NOT NULL,
    person TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE portal_session (
    token_hash BYTEA PRIMARY KEY,
    person TEXT NOT NULL,
    who BYTEA NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE portal_assertion (
    jti TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
