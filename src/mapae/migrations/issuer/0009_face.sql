-- Face checks: what was asked, and what came out. Owner: face/store.py. Never a picture, never anything computed from a
-- face but one distance, and that only for the pack's appeal period.

CREATE TABLE face_check (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    asked TEXT NOT NULL,
    person TEXT NOT NULL,
    jkt TEXT NOT NULL,
    nonce TEXT NOT NULL,
    blinks BIGINT NOT NULL,
    prompts_ms TEXT NOT NULL,
    length_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    answered BIGINT,
    reason TEXT,
    borderline BIGINT,
    distance_millionths BIGINT,
    threshold_millionths BIGINT,
    blinks_seen BIGINT,
    frames BIGINT,
    model_name TEXT,
    model_version TEXT,
    model_sha256 TEXT,
    model_accredited BIGINT
);
CREATE INDEX face_check_subject ON face_check (subject);
CREATE INDEX face_check_opened ON face_check (opened);
-- Of one subject at most one challenge is open.
CREATE UNIQUE INDEX face_check_one_open ON face_check (subject) WHERE state = 'open';

-- How a piece of evidence came out, in a word that can be counted. Owner: desk_store.py.
ALTER TABLE case_evidence ADD COLUMN result TEXT NOT NULL DEFAULT '';
