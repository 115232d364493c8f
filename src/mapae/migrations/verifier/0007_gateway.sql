-- Transactions of the Korean message family: owner verifier/gateway_store.py. Nothing here is about the person; what was
-- shown is with its question, sealed. A transaction begun by a phone (QR-CPM) has no relying party until a shop reads it.
CREATE TABLE mip_transaction (
    trxcode TEXT PRIMARY KEY,
    relying_party TEXT,
    svc_code TEXT,
    interface TEXT NOT NULL,
    mode TEXT NOT NULL,
    branch_name TEXT,
    device_id TEXT,
    question TEXT,
    nonce TEXT,
    state TEXT NOT NULL,
    result TEXT,
    error TEXT,
    profile_at BIGINT,
    image_at BIGINT,
    vp_at BIGINT,
    made_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX mip_transaction_ends ON mip_transaction (ends_at);
