-- What citizens asked of relying parties: erase what you keep of me, or explain. Owner: verifier/privacy_store.py.
-- Nobody is named: the id is a SHA-256 of a token that the citizen's phone alone holds. Words are sealed.

CREATE TABLE privacy_request (
    id TEXT PRIMARY KEY,
    party TEXT NOT NULL,
    number TEXT NOT NULL,
    kind TEXT NOT NULL,
    purpose TEXT NOT NULL,
    items TEXT NOT NULL,
    shown_at BIGINT NOT NULL,
    words BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reply BYTEA,
    answered_at BIGINT
);
CREATE INDEX privacy_request_party ON privacy_request (party, received_at);
CREATE INDEX privacy_request_answered ON privacy_request (answered_at);
