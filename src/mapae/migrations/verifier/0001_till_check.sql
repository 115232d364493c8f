-- A till is one enrolled browser of one shop. A check is one question put to one customer.
-- Nothing in these tables is about the customer, except check_session.shown: sealed, and erased within seconds.

CREATE TABLE till_invitation (
    code BYTEA PRIMARY KEY,
    relying_party TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE till (
    id TEXT PRIMARY KEY,
    token BYTEA NOT NULL UNIQUE,
    relying_party TEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE check_session (
    id TEXT PRIMARY KEY,
    till TEXT NOT NULL,
    relying_party TEXT NOT NULL,
    purpose TEXT NOT NULL,
    form TEXT NOT NULL,
    nonce TEXT NOT NULL,
    echo TEXT NOT NULL,
    secret BYTEA,
    state TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    fetched_at BIGINT,
    ended_at BIGINT,
    outcome TEXT,
    step TEXT,
    code TEXT,
    note TEXT,
    format TEXT,
    shown BYTEA,
    erase_at BIGINT
);
-- A till asks one customer at a time: opening the next question ends the one before.
CREATE UNIQUE INDEX check_session_one_open ON check_session (till) WHERE state = 'open';
CREATE INDEX check_session_ended ON check_session (ended_at);
CREATE INDEX check_session_erase ON check_session (erase_at) WHERE shown IS NOT NULL;
