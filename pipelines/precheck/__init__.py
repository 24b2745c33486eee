"""Checks of a file before it is delivered, and the letter that says what was found."""
