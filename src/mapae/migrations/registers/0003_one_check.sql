-- Of one person and audience at most one check waits for its code: otherwise two begun at once would give ten tries.
CREATE UNIQUE INDEX identity_check_one_waiting ON identity_check (person, audience) WHERE state = 'waiting';
