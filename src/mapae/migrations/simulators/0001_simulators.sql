-- The simulated world around the physical card: factory, post, card payments, and what each was told to do wrong.
-- Owner: simulators/store.py. Holder's data stand in simulated_order.blank and are erased once the chip is made.

CREATE TABLE simulated_fault (
    service TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    seconds BIGINT NOT NULL,
    remaining BIGINT NOT NULL
);

CREATE TABLE simulated_order (
    id TEXT PRIMARY KEY,
    digest BYTEA NOT NULL,
    card_number TEXT NOT NULL,
    hashes TEXT NOT NULL,
    dg14 BYTEA NOT NULL,
    blank BYTEA,
    sod BYTEA,
    letter TEXT NOT NULL,
    state TEXT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    made_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX simulated_order_card ON simulated_order (card_number);

CREATE TABLE simulated_parcel (
    number TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    way TEXT NOT NULL,
    addressee TEXT NOT NULL,
    address TEXT NOT NULL,
    fate TEXT NOT NULL,
    sent BIGINT NOT NULL,
    arrives BIGINT NOT NULL
);
CREATE UNIQUE INDEX simulated_parcel_reference ON simulated_parcel (reference);

CREATE TABLE simulated_payment (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    back TEXT NOT NULL,
    state TEXT NOT NULL,
    card TEXT NOT NULL,
    opened BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE UNIQUE INDEX simulated_payment_reference ON simulated_payment (reference);
