-- Mailboxes of the relay: owner verifier/relay_store.py. The relay knows no client, no person and no content: the name of
-- a mailbox is the hash of a secret its reader has, what lies in it is sealed to keys the relay never sees.
CREATE TABLE relay_box (
    channel BYTEA PRIMARY KEY,
    state TEXT NOT NULL,
    body BYTEA,
    ends_at BIGINT NOT NULL
);
CREATE INDEX relay_box_ends ON relay_box (ends_at);
