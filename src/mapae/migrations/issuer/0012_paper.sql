-- Temporary certificates on paper. Owner: issuer/papers/store.py. The page itself is sealed, and erased when it ends.

CREATE TABLE temporary_paper (
    id TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    person TEXT NOT NULL,
    office TEXT NOT NULL,
    number TEXT NOT NULL,
    state TEXT NOT NULL,
    issued BIGINT NOT NULL,
    until BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    page BYTEA
);
CREATE UNIQUE INDEX temporary_paper_number ON temporary_paper (number);
-- Of one application at most one paper is good, whoever asks twice or at the same moment.
CREATE UNIQUE INDEX temporary_paper_one_live ON temporary_paper (application) WHERE state IN ('intended', 'issued');
CREATE INDEX temporary_paper_until ON temporary_paper (until) WHERE page IS NOT NULL;
