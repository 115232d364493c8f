-- Every role's database has its own audit chain and its own outbox.

CREATE TABLE audit_event (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    subject TEXT NOT NULL,
    object TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    facts TEXT NOT NULL,
    hash BYTEA NOT NULL
);
CREATE INDEX audit_event_subject ON audit_event (subject, seq);

CREATE TABLE outbox_item (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    done_at BIGINT
);
CREATE INDEX outbox_item_due ON outbox_item (next_at) WHERE done_at IS NULL;
