"""Weights of any survey from a specification, behind `axstat weight`."""
