"""The world around the physical card, where no real one can be: card factory, post, payments, fingerprint reader."""
