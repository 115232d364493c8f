-- Relying parties this verifier asks for since they applied for it. Owner: verifier/hosting_store.py.

CREATE TABLE hosted_party (
    party TEXT PRIMARY KEY,
    made_at BIGINT NOT NULL
);
