"""A data home is backed up, brought back and run on; a warehouse of the layout before is migrated with all its rows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.release.vintages import folder_sha256
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.migrations import load_migrations
from tests.integration.conftest import WAVES, Country, WaveRun

pytestmark = pytest.mark.xdist_group("country")

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "tests" / "fixtures" / "warehouse" / "layout_2.sql"
Rerun = Callable[[Settings, Sequence[int] | None], list[WaveRun]]


def axstat(home: Path, *arguments: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import app; app()", *arguments],
        env=os.environ | {"AXSTAT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def warehouse_of(settings: Settings, country: Country) -> Warehouse:
    return Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), country.library)


def all_rows(settings: Settings, country: Country) -> dict[str, pl.DataFrame]:
    with warehouse_of(settings, country).session() as session:
        return {name: session.table(name) for name in country.library.tables}


def test_a_home_brought_back_has_the_rows_and_releases_and_runs_on(
    country: Country, tmp_path: Path, rerun: Rerun
) -> None:
    made = axstat(country.settings.home, "backup", "--to", str(tmp_path / "backups"))
    [backup] = (tmp_path / "backups").iterdir()
    assert made.startswith(str(backup))
    axstat(tmp_path, "restore", str(backup), "--into", str(tmp_path / "new"))

    there = load_settings({"AXSTAT_HOME": str(tmp_path / "new")})
    before, after = all_rows(country.settings, country), all_rows(there, country)
    assert [name for name, rows in before.items() if not rows.equals(after[name])] == []
    assert folder_sha256(there.published_dir) == folder_sha256(country.settings.published_dir)
    assert (there.published_dir / "latest").readlink() == (country.settings.published_dir / "latest").readlink()

    # The last release made anew from what came back: gone is only the folder
    last = f"{WAVES[-1]}.1"
    shutil.rmtree(there.published_dir / last)
    [run] = rerun(there, [WAVES[-1]])
    assert (run.release, run.new) == (last, True)
    assert folder_sha256(there.published_dir / last) == folder_sha256(country.settings.published_dir / last)


@pytest.fixture
def older(country: Country, tmp_path: Path) -> Settings:
    """The country's home with the warehouse in the layout before: its tables, with the rows that they had."""
    home = tmp_path / "older"
    shutil.copytree(country.settings.home, home, symlinks=True)
    settings = load_settings({"AXSTAT_HOME": str(home)})
    today = settings.warehouse_file.with_name("today.duckdb")
    settings.warehouse_file.rename(today)
    with duckdb.connect(str(settings.warehouse_file)) as connection:
        connection.execute(LAYOUT.read_text(encoding="utf-8"))
        connection.execute(f"attach '{today}' as today (read_only)")
        columns: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns() "
            "where database_name = current_database() and not internal order by column_index"
        ).fetchall():
            columns.setdefault(table, []).append(f'"{column}"')
        for table, names in columns.items():
            connection.execute(f"insert into {table} by name select {', '.join(names)} from today.{table}")
        connection.execute("create table meta.schema_version as from today.meta.schema_version")
        connection.execute(
            "update meta.schema_version set version = 2, layout_sha256 = $layout",
            {"layout": load_migrations(settings.sql_dir)[0].before},
        )
        connection.execute("detach today")
    today.unlink()
    return settings


def test_a_warehouse_of_the_layout_before_gets_the_rows_of_today(
    country: Country, older: Settings, rerun: Rerun
) -> None:
    told = axstat(older.home, "migrate")
    assert "from layout 2" in told
    assert f"to layout {load_migrations(older.sql_dir)[-1].number}" in told

    before, after = all_rows(country.settings, country), all_rows(older, country)
    differing = [name for name, rows in before.items() if not rows.equals(after[name])]
    # The marks of the steps that the next run makes anew, and what steps took, which that layout did not have
    assert differing == ["meta.run_step", "meta.step"]
    assert after["meta.run_step"].is_empty()
    assert folder_sha256(older.published_dir) == folder_sha256(country.settings.published_dir)

    assert "to run: replicates" in axstat(older.home, "status")
    runs = rerun(older, None)
    assert [(run.release, run.new) for run in runs] == [(f"{wave}.1", False) for wave in WAVES]
    assert axstat(older.home, "status").count("whole") == 2 * len(WAVES)
