"""Opens a published file with whatever DuckDB its interpreter has, and prints what it finds as JSON.

Belongs here: what an analyst with an older client does. Does not belong here: anything of axstat: the interpreter that
runs this has none of it.
"""

import json
import sys

import duckdb

with duckdb.connect(sys.argv[1], read_only=True) as connection:
    tables = connection.execute(
        "select schema_name || '.' || table_name, comment from duckdb_tables() where schema_name = 'mart'"
    ).fetchall()
    columns = connection.execute(
        "select schema_name || '.' || table_name || '.' || column_name, comment from duckdb_columns()"
        " where schema_name = 'mart'"
    ).fetchall()
    examples = connection.execute("select id, sql from mart.example_query order by position").fetchall()
    rows = {id_: len(connection.execute(sql).fetchall()) for id_, sql in examples}
    codes = connection.execute("select domain_code from adoption('industry', 2025)").fetchall()
found = {
    "version": duckdb.__version__,
    "tables": dict(tables),
    "columns": dict(columns),
    "examples": rows,
    "codes": [code for (code,) in codes],
}
sys.stdout.write(json.dumps(found))
