"""One presentation against what is known: the numbered steps, with no network, page or store."""
