"""What leaves the house: vintages, their manifest, and how they come to stand under `published/`."""
