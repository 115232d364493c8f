-- Which other documents a person has been given, by their own registers. The number only as a keyed hash: it is compared
-- and never shown.
CREATE TABLE other_document (
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    number_index BYTEA NOT NULL,
    PRIMARY KEY (person, kind)
);
