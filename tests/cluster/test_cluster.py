"""A Spark cluster gives what DuckDB gives, reached as master and through Spark Connect, also when an executor dies."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.engine import open_cells
from pipelines.warehouse.engines.microdata import Microdata
from tests.cluster.conftest import PATIENCE, Cluster, wait_for
from tests.cluster.hard_rows import CODES, all_cells, differences, write_rows

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
FILES, ROWS_A_FILE, UNIT = 24, 100_000, 4


def settings(home: Path, engine: str) -> Settings:
    return load_settings({"AXSTAT_HOME": str(home), "AXSTAT_ENGINE": engine})


def estimated(folder: Path, engine: str) -> pl.DataFrame:
    """The table of `axstat estimate` on the hard rows, by a process of its own."""
    specification = {
        "data": "rows",
        "design": {"strata": "stratum", "stages": "unit", "weight": "weight", "population": "there"},
        "estimates": [
            {"id": "mean", "statistic": "mean", "measure": "y", "by": "code"},
            {"id": "ratio", "statistic": "ratio", "measure": "y", "denominator": "x", "where": {"code": CODES[:6]}},
            {"id": "levels", "statistic": "proportion", "measure": "level", "by": "size"},
            {"id": "nobody", "statistic": "total", "measure": "y", "where": {"size": 99}},
        ],
    }
    (folder / "spec.yaml").write_text(yaml.safe_dump(specification, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "pipelines.cli", "estimate", str(folder / "spec.yaml")]
    out = folder / "out.parquet"
    done = subprocess.run(
        [*command, "--out", str(out)],
        env={**os.environ, "AXSTAT_HOME": str(folder / "home"), "AXSTAT_ENGINE": engine},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return pl.read_parquet(out)


@pytest.mark.parametrize("through", ["master", "connect"])
def test_estimates_of_a_cluster_are_those_of_duckdb(
    through: str, cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows")
    address = cluster.address if through == "master" else request.getfixturevalue("connect")
    wanted, found = estimated(tmp_path, "duckdb"), estimated(tmp_path, address)
    assert found.schema == wanted.schema
    numbers = [name for name, dtype in wanted.schema.items() if dtype == pl.Float64]
    assert found.drop(numbers).equals(wanted.drop(numbers))
    for name in numbers:
        assert found[name].is_null().equals(wanted[name].is_null()), name
        pair = (table[name].drop_nulls().to_numpy() for table in (found, wanted))
        np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-12, err_msg=name)


def test_cells_are_right_when_an_executor_is_killed_in_the_middle(cluster: Cluster, tmp_path: Path) -> None:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    files = long_rows(tmp_path)
    asked = Microdata(types=dict(pl.read_parquet_schema(files[0])), weight="w", strata="h", unit="u", by=("d",), y="y")
    catalogue = SqlCatalogue(ROOT / "sql")
    with open_cells(settings(tmp_path, "duckdb"), catalogue, files) as maker:
        wanted = maker.cells("cells.unit_moments", asked)
    found: list[pl.DataFrame] = []
    with open_cells(settings(tmp_path, cluster.address), catalogue, files) as maker:
        wait_for(lambda: len(cluster.executors()) == 2, "two executors")
        session = SparkSession.getActiveSession()
        assert session is not None
        # A task a file, so that there is a middle
        session.conf.set("spark.sql.files.maxPartitionBytes", "1m")
        work = threading.Thread(target=lambda: found.append(maker.cells("cells.unit_moments", asked)))
        work.start()
        tracker = SparkContext.getOrCreate().statusTracker()

        def in_the_middle() -> bool:
            """Some of the files are added up, others are not."""
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            return any(info and 2 <= info.numCompletedTasks < info.numTasks - 2 for info in stages)

        wait_for(in_the_middle, "stage at work")
        killed = cluster.executors()[0]
        os.kill(killed, signal.SIGKILL)
        assert work.is_alive()
        work.join(timeout=2 * PATIENCE)
        assert not work.is_alive()
        wait_for(lambda: len(cluster.executors()) == 2, "executor in place of the one that was killed")
        assert killed not in cluster.executors()
    assert differences(wanted, found[0]) == []
    assert wanted["n"].sum() == FILES * ROWS_A_FILE


def long_rows(folder: Path) -> list[Path]:
    """Rows in many files, units across them, so that no executor has a unit whole."""
    files = []
    for number in range(FILES):
        rng = np.random.default_rng([7, number])
        unit = np.arange(ROWS_A_FILE)
        files.append(folder / f"part-{number:02}.parquet")
        columns = {"h": unit % 50, "u": unit, "d": unit // 50 % UNIT, "w": rng.uniform(1, 9, ROWS_A_FILE)}
        pl.DataFrame({**columns, "y": rng.normal(5, 2, ROWS_A_FILE)}).write_parquet(files[-1])
    return files


def test_every_cell_of_a_cluster_is_that_of_duckdb(cluster: Cluster, tmp_path: Path) -> None:
    files, catalogue = write_rows(tmp_path), SqlCatalogue(ROOT / "sql")
    made = []
    for engine in ("duckdb", cluster.address):
        with open_cells(settings(tmp_path, engine), catalogue, files) as maker:
            made.append(all_cells(maker))
    wanted, found = made
    assert {key: differences(wanted[key], found[key]) for key in wanted} == {key: [] for key in wanted}
