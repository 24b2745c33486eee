"""A warehouse of its own for each test."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from pipelines.warehouse.lock import Lock
with Lock(Path(sys.argv[2])).held(timeout=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="session")
def catalogue() -> SqlCatalogue:
    return SqlCatalogue(ROOT / "sql")


@pytest.fixture
def warehouse(tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary) -> Warehouse:
    return Warehouse(tmp_path / "warehouse" / "axstat.duckdb", catalogue, library, lock_timeout=0.2)


@pytest.fixture(scope="session")
def rates(library: ContractLibrary) -> pl.DataFrame:
    """Three rows of mart.adoption_rate, not in the order of their key."""
    values: Mapping[str, Any] = {"VARCHAR": "x", "INTEGER": 1, "BIGINT": 1, "DOUBLE": 0.1 + 0.2}
    contract = library.marts["mart.adoption_rate"]
    row = {column.name: values[column.type] for column in contract.columns}
    rows = [
        {**row, "survey": "industry", "wave": 2025, "domain_code": code, "se": se}
        for code, se in (("AX2", None), ("AX1", 1 / 3), ("AX3", -0.0))
    ]
    return pl.DataFrame(rows, schema=polars_schema(contract), orient="row")


def diagnostics(*values: tuple[int, float | None], survey: str = "industry") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"survey": survey, "wave": wave, "diagnostic": f"d{place}", "step": "final", "value": value}
            for place, (wave, value) in enumerate(values)
        ],
        schema_overrides={"value": pl.Float64},
    )


@contextmanager
def another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, called with `run` and something that is nobody's business."""
    command = [sys.executable, "-c", HOLD, "run", str(path), "--secret"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()
