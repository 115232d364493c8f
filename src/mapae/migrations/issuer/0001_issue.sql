-- Orders, offers, sessions, tickets and status lists. Owner: issuer/store.py. No name, number or claim value is kept.

-- What an officer ordered for a person: one card, delivered as many batches of one-time copies.
CREATE TABLE issue_order (
    id TEXT PRIMARY KEY,
    case_id TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    office TEXT NOT NULL,
    officer TEXT NOT NULL,
    document_number TEXT NOT NULL,
    issued_on TEXT NOT NULL,
    expires_on TEXT NOT NULL,
    device TEXT,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE UNIQUE INDEX issue_order_case ON issue_order (case_id);
CREATE UNIQUE INDEX issue_order_number ON issue_order (document_number);
CREATE INDEX issue_order_person ON issue_order (person);
CREATE INDEX issue_order_device ON issue_order (device) WHERE device IS NOT NULL;
-- One live card a person and kind, whatever two desks do at the same second.
CREATE UNIQUE INDEX issue_order_one_live ON issue_order (person, kind) WHERE state IN ('held', 'suspended');

CREATE TABLE issue_offer (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    code_hash BYTEA NOT NULL,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    redeemed_by TEXT
);
CREATE UNIQUE INDEX issue_offer_code ON issue_offer (code_hash);
CREATE UNIQUE INDEX issue_offer_one_open ON issue_offer (order_id) WHERE state = 'open';
CREATE INDEX issue_offer_order ON issue_offer (order_id);

CREATE TABLE offer_event (
    case_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (case_id, place)
);

-- One wallet's leave to fetch one order, from the code's redemption to the card's end. Tokens are kept as hashes.
CREATE TABLE wallet_session (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    offer_id TEXT NOT NULL,
    dpop_jkt TEXT NOT NULL,
    client_jkt TEXT NOT NULL,
    client_id TEXT NOT NULL,
    device TEXT NOT NULL,
    state TEXT NOT NULL,
    access_hash BYTEA,
    access_expires BIGINT NOT NULL,
    refresh_hash BYTEA,
    refresh_before BYTEA,
    expires BIGINT NOT NULL,
    opened BIGINT NOT NULL
);
CREATE UNIQUE INDEX wallet_session_offer ON wallet_session (offer_id);
CREATE UNIQUE INDEX wallet_session_access ON wallet_session (access_hash) WHERE access_hash IS NOT NULL;
CREATE UNIQUE INDEX wallet_session_refresh ON wallet_session (refresh_hash) WHERE refresh_hash IS NOT NULL;
CREATE INDEX wallet_session_before ON wallet_session (refresh_before) WHERE refresh_before IS NOT NULL;
CREATE INDEX wallet_session_order ON wallet_session (order_id);

-- What may be used once: DPoP and attestation proofs, c_nonces. Forgotten when it would be refused for age anyway.
CREATE TABLE spent (
    kind TEXT NOT NULL,
    hash BYTEA NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (kind, hash)
);
CREATE INDEX spent_expires ON spent (expires);

CREATE TABLE status_list (
    id TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    room BIGINT NOT NULL,
    used BIGINT NOT NULL,
    version BIGINT NOT NULL,
    opened BIGINT NOT NULL
);

CREATE TABLE batch (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    configuration TEXT NOT NULL,
    state TEXT NOT NULL,
    access_hash BYTEA NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
-- Of one order and configuration at most one batch is on its way to the wallet.
CREATE UNIQUE INDEX batch_one_on_its_way ON batch (order_id, configuration) WHERE state IN ('intended', 'signed');
CREATE INDEX batch_order ON batch (order_id, configuration, state);
CREATE INDEX batch_token ON batch (access_hash, configuration);
CREATE INDEX batch_intended ON batch (opened) WHERE state = 'intended';

-- The intent to sign one copy, on disk before the signature exists. `beneath` is the status under a suspension.
CREATE TABLE ticket (
    id TEXT PRIMARY KEY,
    batch_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    list_id TEXT NOT NULL,
    idx BIGINT NOT NULL,
    key_thumbprint TEXT NOT NULL,
    draft_digest BYTEA NOT NULL,
    signed_digest BYTEA,
    state TEXT NOT NULL,
    status BIGINT NOT NULL,
    beneath BIGINT NOT NULL,
    touched BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX ticket_key ON ticket (key_thumbprint);
CREATE UNIQUE INDEX ticket_index ON ticket (list_id, idx);
CREATE INDEX ticket_batch ON ticket (batch_id);
CREATE INDEX ticket_order ON ticket (order_id, status);
CREATE INDEX ticket_touched ON ticket (list_id, touched) WHERE touched > 0;

-- How far we have read the wallet provider's list of ended phones.
CREATE TABLE follower (
    name TEXT PRIMARY KEY,
    seen BIGINT NOT NULL
);
