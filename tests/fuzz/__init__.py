"""Strangers' bytes against every parser: the targets, the corpus they are replayed with, and a coverage-guided run."""
