"""What a citizen asks of a relying party about her own data."""
