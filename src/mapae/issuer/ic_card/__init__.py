"""The chip of the physical card: protocol, data and a card to try them on. Pure: no HTTP and no database in here."""
