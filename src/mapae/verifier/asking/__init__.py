"""A question from put to verdict, and what a running verifier knows when it judges."""
