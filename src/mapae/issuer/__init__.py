"""From "who are you" to a signed credential, and the counter where it happens."""
