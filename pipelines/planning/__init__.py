"""Sample planning from a specification, behind `axstat plan` and `axstat draw`."""
