-- Path B: a card tapped at home. Owner: tap/store.py, but for issue_offer (store.py).

-- The secret of the link is kept as a hash. Nothing that was read from a chip stands here but the digest of its SOD.
CREATE TABLE tap_session (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    device TEXT NOT NULL,
    waiting BIGINT NOT NULL,
    kind TEXT NOT NULL,
    client_jkt TEXT NOT NULL,
    dpop_jkt TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    code TEXT NOT NULL,
    language TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    step TEXT NOT NULL DEFAULT '',
    opened BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    tap_until BIGINT NOT NULL DEFAULT 0,
    chip BYTEA,
    proven BIGINT NOT NULL DEFAULT 0,
    old_device TEXT NOT NULL DEFAULT '',
    offer TEXT NOT NULL DEFAULT '',
    changed BIGINT NOT NULL
);
CREATE UNIQUE INDEX tap_session_secret ON tap_session (secret_hash);
CREATE INDEX tap_session_person ON tap_session (person, opened);
CREATE INDEX tap_session_state ON tap_session (state, changed);
-- One tap at a time a phone, whoever asks at the same second.
CREATE UNIQUE INDEX tap_session_one ON tap_session (device)
    WHERE state IN ('waiting', 'opened', 'card', 'face', 'confirm', 'issuing', 'moved');

-- When a chip last led to a card: once in so many hours.
CREATE TABLE tap_use (
    chip BYTEA PRIMARY KEY,
    at BIGINT NOT NULL,
    session TEXT NOT NULL
);

-- Links that stop everything of a person; `used` is when somebody did.
CREATE TABLE stop_link (
    secret_hash BYTEA PRIMARY KEY,
    notice TEXT NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX stop_link_person ON stop_link (person, used);
CREATE INDEX stop_link_expires ON stop_link (expires);

-- Whose offer it is alone: the keys of the one wallet that may redeem it; empty where any that may fetch the order may.
ALTER TABLE issue_offer ADD COLUMN dpop_jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE issue_offer ADD COLUMN client_jkt TEXT NOT NULL DEFAULT '';
