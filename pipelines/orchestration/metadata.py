"""What an asset shows of itself in the UI: row counts and small tables. No numbers are made here."""

import re
from collections.abc import Mapping

import dagster as dg
import polars as pl

from pipelines.contracts.compiler import column_metadata
from pipelines.contracts.models import TableContract

_MOST_ROWS = 30
# What Markdown would take for its own in a cell: crossed domain codes hold stars, and files hold anything
_MARKUP = re.compile(r"[\\|*<`\[]")


def rows_by_table(counts: Mapping[str, int]) -> dict[str, dg.MetadataValue]:
    """Row counts of the tables an asset wrote."""
    return {
        "dagster/row_count": dg.MetadataValue.int(sum(counts.values())),
        "rows": table_markdown(pl.DataFrame({"table": list(counts), "rows": list(counts.values())})),
    }


def table_markdown(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table; floats with four digits."""
    lines = [
        "| " + " | ".join(frame.columns) + " |",
        "|" + "|".join("---:" if kind.is_numeric() else "---" for kind in frame.dtypes) + "|",
    ]
    for row in frame.head(_MOST_ROWS).iter_rows():
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    if frame.height > _MOST_ROWS:
        lines.append(f"\n{frame.height - _MOST_ROWS} more rows")
    return dg.MetadataValue.md("\n".join(lines))


def column_schema(contract: TableContract) -> dg.TableSchema:
    """A table's columns with their descriptions, for the asset's page."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=column.name, type=column.type, description=column.description)
            for column in column_metadata(contract)
        ]
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return _MARKUP.sub(r"\\\g<0>", text).replace("\n", " ")
