"""`python -m mapae`."""

from .cli import main

main()
