-- What a witness has seen. Owner: trust/witness_store.py. Rows are never taken away: a witness that forgets can be made
-- to vouch for two histories.

CREATE TABLE witness_checkpoint (
    origin TEXT NOT NULL,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    note TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (origin, size)
);

-- A note the log signed that does not fit what we cosigned. kind: fork (same size, another root) or unproven (the proof
-- that came with it does not lead there from what we saw).
CREATE TABLE witness_evidence (
    digest BYTEA PRIMARY KEY,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    ours TEXT NOT NULL,
    theirs TEXT NOT NULL,
    kept_at BIGINT NOT NULL
);
CREATE INDEX witness_evidence_origin ON witness_evidence (origin, kept_at);
