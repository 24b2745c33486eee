"""Outside series: fetched, stored as they came, and read into observations."""
