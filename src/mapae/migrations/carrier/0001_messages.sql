-- The simulated mobile carrier: text messages until they are too old, and what it was told to do wrong.

CREATE TABLE message (
    id TEXT PRIMARY KEY,
    phone TEXT NOT NULL,
    written TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL,
    visible_at BIGINT NOT NULL
);
CREATE INDEX message_phone ON message (phone, visible_at);
CREATE INDEX message_at ON message (at);

CREATE TABLE fault (
    only_row BIGINT PRIMARY KEY,
    mode TEXT NOT NULL,
    seconds BIGINT NOT NULL,
    remaining BIGINT NOT NULL
);
