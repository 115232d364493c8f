-- The life of physical cards with a chip: one row a card, from its application to its end.
-- Nobody's name, number or address stands here in the clear: applicant and photo are sealed.

CREATE TABLE card_life (
    card_id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    why TEXT NOT NULL,
    channel TEXT NOT NULL,
    office TEXT NOT NULL,
    pickup TEXT NOT NULL,
    state TEXT NOT NULL,
    applicant BYTEA NOT NULL,
    photo TEXT NOT NULL,
    old_number TEXT NOT NULL,
    old_fate TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    free BIGINT NOT NULL,
    payment_try BIGINT NOT NULL DEFAULT 0,
    payment_id TEXT NOT NULL DEFAULT '',
    payment_url TEXT NOT NULL DEFAULT '',
    payment_state TEXT NOT NULL DEFAULT '',
    paid_at BIGINT NOT NULL DEFAULT 0,
    refund TEXT NOT NULL DEFAULT '',
    order_try BIGINT NOT NULL DEFAULT 0,
    placed BIGINT NOT NULL DEFAULT 0,
    data_digest BYTEA,
    number TEXT NOT NULL DEFAULT '',
    issued TEXT NOT NULL DEFAULT '',
    expires TEXT NOT NULL DEFAULT '',
    sod BYTEA,
    sod_digest BYTEA,
    chip_key_hash BYTEA,
    sending BIGINT NOT NULL DEFAULT 0,
    tracking TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL DEFAULT '',
    trouble TEXT NOT NULL DEFAULT '',
    look_at BIGINT NOT NULL DEFAULT 0,
    since BIGINT NOT NULL,
    opened BIGINT NOT NULL,
    steps BIGINT NOT NULL DEFAULT 0
);
-- Two desks, or a desk and the portal, at the same second: one application a person.
CREATE UNIQUE INDEX card_life_one_open ON card_life (person) WHERE state IN
    ('applied', 'paid', 'ordered', 'made', 'posted', 'delivered', 'returned', 'at_office', 'handed_over');
CREATE UNIQUE INDEX card_life_one_active ON card_life (person) WHERE state = 'active';
CREATE UNIQUE INDEX card_life_number ON card_life (number) WHERE number <> '';
CREATE UNIQUE INDEX card_life_chip_key ON card_life (chip_key_hash) WHERE chip_key_hash IS NOT NULL;
CREATE UNIQUE INDEX card_life_sod ON card_life (sod_digest) WHERE sod_digest IS NOT NULL;
CREATE INDEX card_life_person ON card_life (person, opened);
CREATE INDEX card_life_office ON card_life (office, state);
CREATE INDEX card_life_pickup ON card_life (pickup, state);
CREATE INDEX card_life_look ON card_life (look_at) WHERE state IN
    ('applied', 'paid', 'ordered', 'made', 'posted', 'delivered', 'returned', 'at_office', 'active');
CREATE INDEX card_life_refund ON card_life (card_id) WHERE refund = 'due';

-- What happened to a card, one line an act; the actor is an opaque id.
CREATE TABLE card_step (
    card_id TEXT NOT NULL,
    n BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    second TEXT NOT NULL,
    act TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    office TEXT NOT NULL,
    PRIMARY KEY (card_id, n)
);
CREATE INDEX card_step_act ON card_step (act, office);

-- A photo somebody brought, from the moment it was judged until the register has it or it is refused. Without a card it
-- is forgotten after an hour.
CREATE TABLE card_photo (
    photo_id TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    card_id TEXT NOT NULL,
    brought_by TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    taken TEXT NOT NULL,
    verdict TEXT NOT NULL,
    agreed TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX card_photo_card ON card_photo (card_id);

-- Cards of earlier kinds that were handed in and wait to be destroyed by two officers.
CREATE TABLE card_handed_in (
    card_id TEXT PRIMARY KEY,
    office TEXT NOT NULL,
    number TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX card_handed_in_office ON card_handed_in (office, at);

-- The country's authority for chips (csca) and its document signers, one generation after the other; public data.
CREATE TABLE card_signer (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    serial TEXT NOT NULL,
    above TEXT NOT NULL,
    der BYTEA NOT NULL,
    begun BIGINT NOT NULL,
    signs_until BIGINT NOT NULL,
    revoked_at BIGINT
);
