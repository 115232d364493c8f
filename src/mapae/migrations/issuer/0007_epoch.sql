-- Status epochs: what all lists said at one moment. Owner: epoch_store.py; status_list.cut belongs to ticket_store.py.

CREATE TABLE status_epoch (
    seq BIGINT PRIMARY KEY,
    iat BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    root BYTEA NOT NULL,
    leaves BIGINT NOT NULL,
    counts_until BIGINT NOT NULL,
    statement TEXT NOT NULL,
    anchored_at BIGINT
);
CREATE INDEX status_epoch_waiting ON status_epoch (seq) WHERE anchored_at IS NULL;

-- What a list said from epoch `seq` until the epoch before `until`. The row without `until` is also where a process that
-- starts begins to read: what its list was at `version`. An old row's `lst` is emptied before the row goes.
CREATE TABLE status_cut (
    list_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    until BIGINT,
    version BIGINT NOT NULL,
    bits BIGINT NOT NULL,
    record BYTEA NOT NULL,
    lst BYTEA NOT NULL,
    PRIMARY KEY (list_id, seq)
);
CREATE UNIQUE INDEX status_cut_current ON status_cut (list_id) WHERE until IS NULL;
CREATE INDEX status_cut_until ON status_cut (until);
CREATE INDEX status_cut_whole ON status_cut (until) WHERE length(lst) > 0;

-- The version a list had in the newest epoch; -1: it was in none yet.
ALTER TABLE status_list ADD COLUMN cut BIGINT NOT NULL DEFAULT -1;
