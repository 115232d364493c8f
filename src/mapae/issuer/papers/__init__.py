"""The temporary certificate: a signed page that stands in for the physical card until that is handed over."""
