"""Engines that add microdata up to cells: DuckDB on one machine, Spark on several."""
