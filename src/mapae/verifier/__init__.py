"""Asking and checking: what a shop may ask, and whether the answer is true."""
