-- Everybody the state knows. The resident number is sealed; number_index is a keyed hash of it.

CREATE TABLE resident (
    person TEXT PRIMARY KEY,
    number_index BYTEA NOT NULL,
    number_sealed BYTEA NOT NULL,
    number_masked TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    name_latin TEXT NOT NULL,
    former_names TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    sex TEXT NOT NULL,
    nationality TEXT NOT NULL,
    citizen BIGINT NOT NULL,
    municipality TEXT NOT NULL,
    address TEXT NOT NULL,
    moved_in TEXT,
    deceased_on TEXT,
    guardian TEXT,
    card_number TEXT,
    card_issued TEXT,
    card_kind TEXT,
    card_state TEXT,
    photo_taken TEXT,
    photo_seed TEXT NOT NULL,
    photo BYTEA
);
CREATE UNIQUE INDEX resident_number ON resident (number_index);
CREATE INDEX resident_name ON resident (name_key, birth_date);

-- Which phone numbers are a person's; both numbers only as keyed hash and sealed.
CREATE TABLE phone_line (
    phone_index BYTEA NOT NULL,
    person TEXT NOT NULL,
    phone_sealed BYTEA NOT NULL,
    PRIMARY KEY (phone_index, person)
);
CREATE INDEX phone_line_person ON phone_line (person);
