-- How often a person's checks failed lately, whatever they were for. Owner: face/store.py.
CREATE INDEX face_check_person ON face_check (person, opened);
