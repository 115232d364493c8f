-- What still stands between an order and its first signature, by name, separated by commas. Owner: store.py.
ALTER TABLE issue_order ADD COLUMN needs TEXT NOT NULL DEFAULT '';

-- Evidence of more kinds than two. `need` says which kind; what is peculiar to it is in `facts`. Owner: desk_store.py.
ALTER TABLE case_evidence ADD COLUMN facts TEXT NOT NULL DEFAULT '';
ALTER TABLE case_evidence ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
UPDATE case_evidence SET need = 'officer' WHERE need = 'face';
