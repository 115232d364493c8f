-- Phones and whom they belong to. Times are epoch seconds.

CREATE TABLE device (
  device_id TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  jkt TEXT NOT NULL UNIQUE,
  platform TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'active', 'suspended', 'ended')),
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  registered BIGINT NOT NULL
);

-- One phone a person. A suspended phone still holds the place, so that nobody can bind another one behind a report
-- of loss without an officer.
CREATE UNIQUE INDEX device_one_live ON device (person) WHERE state IN ('active', 'suspended');
CREATE INDEX device_by_person ON device (person, state);
CREATE INDEX device_ended ON device (since, device_id) WHERE state = 'ended';

-- Which phone an attested client key (RFC 7638 thumbprint) belongs to; a wallet has one such key per issuer.
CREATE TABLE attested_client (
  jkt TEXT PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES device (device_id),
  expires BIGINT NOT NULL
);
CREATE INDEX attested_client_expires ON attested_client (expires);
CREATE INDEX attested_client_device ON attested_client (device_id);

-- Identity assertions that have been used, and by which phone: the same phone may ask again when the answer was lost.
CREATE TABLE spent_assertion (
  jti TEXT PRIMARY KEY,
  jkt TEXT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE INDEX spent_assertion_expires ON spent_assertion (expires);

-- Device requests seen inside the clock window.
CREATE TABLE seen_request (
  device_id TEXT NOT NULL,
  jti TEXT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (device_id, jti)
);
CREATE INDEX seen_request_expires ON seen_request (expires);
