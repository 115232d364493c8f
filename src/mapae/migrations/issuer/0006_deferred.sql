-- Requests that were accepted and are answered later. Owner: deferred.py. Public keys only; the proofs have been checked.

CREATE TABLE deferred (
    id_hash BYTEA PRIMARY KEY,
    order_id TEXT NOT NULL,
    configuration TEXT NOT NULL,
    keys TEXT NOT NULL,
    state TEXT NOT NULL,
    ready BIGINT NOT NULL,
    opened BIGINT NOT NULL
);
-- Of one order and configuration at most one request waits.
CREATE UNIQUE INDEX deferred_one_waiting ON deferred (order_id, configuration) WHERE state = 'waiting';
CREATE INDEX deferred_opened ON deferred (opened);
