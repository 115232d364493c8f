-- A site's server whose library knows no PKCE sends a nonce instead (RFC 9700 2.1.1). Owner: verifier/login/store.py.
ALTER TABLE login_client ADD COLUMN pkce_optional BIGINT NOT NULL DEFAULT 0;
