"""Logging in with the card: the OpenID Connect bridge."""
