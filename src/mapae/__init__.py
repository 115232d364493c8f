"""mapae: an open, self-hostable national mobile identity and digital public-service platform."""

__version__ = "0.4.0"
