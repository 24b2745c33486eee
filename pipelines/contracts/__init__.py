"""Data contracts read from YAML: frozen typed models, and what they compile to."""
