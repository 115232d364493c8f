-- Offline packs this installation has published. Owner: trust/pack/store.py. Old ones go, the newest never does.

CREATE TABLE pack (
    number BIGINT PRIMARY KEY,
    id BYTEA NOT NULL,
    made BIGINT NOT NULL,
    head BYTEA NOT NULL
);
CREATE UNIQUE INDEX pack_id ON pack (id);

-- What packs consist of, by SHA-256 of the uncompressed content; shared by all packs that have it.
CREATE TABLE pack_blob (
    digest BYTEA PRIMARY KEY,
    coding BIGINT NOT NULL,
    body BYTEA NOT NULL
);
