"""The only package that knows DuckDB: the working file, the SQL catalogue, the published file."""
