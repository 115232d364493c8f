"""The web edge and the look of every server-rendered page."""
