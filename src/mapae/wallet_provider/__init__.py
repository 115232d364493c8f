"""Vouches for wallets: which phone belongs to which person, and that the wallet on it is ours."""
