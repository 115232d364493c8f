-- Requests that wait for a person's phone, and where that phone is woken. Owner of all three tables:
-- wallet_provider/push_store.py. Times are epoch seconds.

-- One a phone. The address and the keys are sealed; `address` is a keyed hash of it, so that no two phones have the same.
CREATE TABLE push_subscription (
  device_id TEXT PRIMARY KEY REFERENCES device (device_id),
  address BYTEA NOT NULL UNIQUE,
  sealed BYTEA NOT NULL,
  made BIGINT NOT NULL
);

-- Whom a phone does not want to be asked by; an empty party: anybody.
CREATE TABLE push_mute (
  device_id TEXT NOT NULL REFERENCES device (device_id),
  party TEXT NOT NULL,
  PRIMARY KEY (device_id, party)
);

-- What waits, sealed, until it is looked at, answered or over (then NULL); and, until the phone has put it into its own
-- history, who tried. `state`: waiting, over (answered, put aside, too late) or muted.
CREATE TABLE push_mail (
  id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES device (device_id),
  party TEXT NOT NULL,
  purpose TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'over', 'muted')),
  sealed BYTEA,
  told INTEGER NOT NULL DEFAULT 0,
  at BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX push_mail_device ON push_mail (device_id, at);
CREATE INDEX push_mail_expires ON push_mail (expires);
