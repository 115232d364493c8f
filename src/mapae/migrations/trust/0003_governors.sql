-- Changes of the registry as governors sign them and the log takes them. Owner: trust/store.py.

-- What each governor signed: the proposer (place 0) the statement, everybody else an approval of it. voice: the RFC 7638
-- SHA-256 thumbprint of the key.
CREATE TABLE trust_vote (
    proposal TEXT NOT NULL,
    place BIGINT NOT NULL,
    voice BYTEA NOT NULL,
    governor TEXT NOT NULL,
    signed TEXT NOT NULL,
    voted_at BIGINT NOT NULL,
    PRIMARY KEY (proposal, place)
);
CREATE UNIQUE INDEX trust_vote_voice ON trust_vote (proposal, voice);

-- What the log is to be handed once enough have signed: JSON, in this order.
CREATE TABLE trust_order (
    proposal TEXT PRIMARY KEY,
    submissions TEXT NOT NULL
);

-- What the log made of it: it holds since then, or it broke a rule.
CREATE TABLE trust_outcome (
    proposal TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    rule TEXT
);
