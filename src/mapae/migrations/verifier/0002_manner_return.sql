-- How a question is put (JSON of ask.Manner), and for one put to the same device: the SHA-256 of the code with which
-- the browser that asked must come back, and until when.

ALTER TABLE check_session ADD COLUMN manner TEXT NOT NULL DEFAULT '{}';
ALTER TABLE check_session ADD COLUMN return_code BYTEA;
ALTER TABLE check_session ADD COLUMN return_by BIGINT;
CREATE INDEX check_session_return ON check_session (return_by) WHERE state = 'returning';
