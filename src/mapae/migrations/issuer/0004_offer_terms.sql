-- How an order may be fetched, by which grant an offer is opened, and what a session may ask for.

ALTER TABLE issue_order ADD COLUMN wallets TEXT NOT NULL DEFAULT 'registered';
-- Until when the officer's evidence carries a new authorization of this order.
ALTER TABLE issue_order ADD COLUMN waits_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE issue_order ADD COLUMN second_look BIGINT NOT NULL DEFAULT 0;

ALTER TABLE issue_offer ADD COLUMN way TEXT NOT NULL DEFAULT 'pre_authorized';
ALTER TABLE issue_offer ADD COLUMN tx_hash BYTEA;
ALTER TABLE issue_offer ADD COLUMN tx_tries BIGINT NOT NULL DEFAULT 0;

-- Names separated by a space; empty in sessions from before, which may ask for all of their order.
ALTER TABLE wallet_session ADD COLUMN configurations TEXT NOT NULL DEFAULT '';
ALTER TABLE wallet_session ADD COLUMN identified BIGINT NOT NULL DEFAULT 0;

-- Refresh tokens are bound to two keys and no longer rotate (FAPI 2.0 5.3.2.1).
DROP INDEX wallet_session_before;
ALTER TABLE wallet_session DROP COLUMN refresh_before;
