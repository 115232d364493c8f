"""What the state already knows: the population register, the identity check, and the simulated carrier."""
