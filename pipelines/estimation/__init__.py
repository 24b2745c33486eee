"""Estimates of any survey file from a specification in YAML: what `axstat estimate` runs."""
