"""What the state already knows: the population register, the identity check by text message, and the carrier simulator."""
