-- What the register of another document says of it: licence classes, until when, its number. Sealed as one, for a number
-- is among it.
CREATE TABLE document_record (
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (person, kind)
);

-- Whose guardian somebody is.
CREATE INDEX resident_guardian ON resident (guardian) WHERE guardian IS NOT NULL;
