"""What is there: waves, how far each is built, what is published. Reads only."""

from pathlib import Path

import polars as pl

from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.release.vintages import last_vintage
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import stale_steps


def latest_database(settings: Settings) -> Path:
    """The published DuckDB file that `latest` names.

    Raises:
        AxstatError: if nothing is published yet.
    """
    path = settings.published_dir / "latest" / "axstat.duckdb"
    if not path.is_file():
        raise AxstatError(
            "nothing_published",
            where=str(settings.published_dir),
            expected="a published release",
            got="none",
            hint="run `axstat run --all` (or `make report`) first",
        )
    return path


def overview(settings: Settings) -> pl.DataFrame:
    """One row a survey and wave: its files, how far it is built, its newest vintage.

    Returns:
        survey, wave, files (current ones), synthetic, state ('whole', or the steps that are missing or older than the
        deliveries), published (vintage, or empty).
    """
    library = load_library(settings.contracts_dir)
    columns = {
        "survey": pl.String, "wave": pl.Int32, "files": pl.UInt32, "synthetic": pl.Boolean,
        "state": pl.String, "published": pl.String,
    }  # fmt: skip
    if not settings.warehouse_file.exists():
        return pl.DataFrame(schema=columns)
    # A run keeps the file for a wave: who asks is told at once who has it
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library, lock_timeout=2.0)
    rows = []
    with warehouse.session() as session:
        files = session.table("meta.delivery_file", where={"status": "current"})
        waves = files.group_by("survey", "wave").agg(pl.len().alias("files"), pl.col("synthetic").any())
        for row in waves.sort("wave", "survey").to_dicts():
            stale = stale_steps(session, library, survey=row["survey"], wave=row["wave"])
            vintage = last_vintage(settings.published_dir, row["wave"])
            rows.append(
                row
                | {
                    "state": f"to run: {', '.join(stale)}" if stale else "whole",
                    "published": str(vintage) if vintage else None,
                }
            )
    return pl.DataFrame(rows, schema=columns)
