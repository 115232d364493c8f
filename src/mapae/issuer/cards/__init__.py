"""The life of the physical card: application, payment, factory, post, hand-over, and what ends it."""
