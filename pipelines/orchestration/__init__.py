"""Dagster's side of axstat: assets, checks, job, schedule. The only package that imports dagster."""
