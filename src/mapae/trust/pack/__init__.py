"""The offline pack: all that a checker in a basement needs to know, in one file that it can check itself."""
