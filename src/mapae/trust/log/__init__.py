"""The trust log itself, pure: tree, entries, rules, notes, proofs. No clock, no socket, no table."""
