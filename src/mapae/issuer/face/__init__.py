"""Is this the person of the photo on record, and was somebody there who blinked when asked? `docs/face.md`."""
