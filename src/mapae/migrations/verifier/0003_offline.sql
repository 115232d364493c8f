-- Verdicts on which no network was there: on what they stand (JSON of offline.Offline).
ALTER TABLE check_session ADD COLUMN offline TEXT;

-- What was accepted with no network, to be looked at again: owner verifier/doubt_store.py. No name, no value, no place in
-- a status list: a keyed tag of it. One key a day (sealed), destroyed with that day's rows.
CREATE TABLE offline_key (
    day BIGINT PRIMARY KEY,
    secret BYTEA NOT NULL,
    erase_at BIGINT NOT NULL
);

CREATE TABLE offline_accepted (
    id TEXT PRIMARY KEY,
    day BIGINT NOT NULL,
    relying_party TEXT NOT NULL,
    purpose TEXT NOT NULL,
    at BIGINT NOT NULL,
    signer BYTEA NOT NULL,
    tag BYTEA NOT NULL,
    doubt TEXT
);
CREATE INDEX offline_accepted_day ON offline_accepted (day, tag);
CREATE INDEX offline_accepted_doubt ON offline_accepted (relying_party, at) WHERE doubt IS NOT NULL;
