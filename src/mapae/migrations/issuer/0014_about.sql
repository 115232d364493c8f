-- Whom a document speaks for, by the mark its register has for that person; empty where it speaks for its holder alone,
-- or was made when one ward a guardian was all there could be. Owners: store.py, desk_store.py.
ALTER TABLE issue_order ADD COLUMN about TEXT NOT NULL DEFAULT '';
DROP INDEX issue_order_one_live;
CREATE UNIQUE INDEX issue_order_one_live ON issue_order (person, kind, about) WHERE state IN ('held', 'suspended');
ALTER TABLE desk_case ADD COLUMN about TEXT NOT NULL DEFAULT '';
DROP INDEX one_open_case;
CREATE UNIQUE INDEX one_open_case ON desk_case (person, task, kind, about) WHERE state IN ('open', 'filed', 'offered');
