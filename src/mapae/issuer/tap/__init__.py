"""Path B: a mobile card for whoever taps the physical card's chip, at home, without an officer."""
