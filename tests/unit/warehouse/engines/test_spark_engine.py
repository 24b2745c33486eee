"""Spark gives the cells that DuckDB gives; what keeps it from starting is said."""

import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.engine import CellMaker, open_cells
from tests.cluster.hard_rows import STATEMENTS, differences, questions, write_rows

NOT_THERE = "needs `make spark` and Java (Debian: default-jre-headless)"
needs_spark = pytest.mark.skipif(
    not os.environ.get("CI") and (importlib.util.find_spec("pyspark") is None or shutil.which("java") is None),
    reason=NOT_THERE,
)


def settings(home: Path, engine: str) -> Settings:
    return load_settings({"AXSTAT_HOME": str(home), "AXSTAT_ENGINE": engine})


def open_engine(home: Path, engine: str) -> None:
    made = settings(home, engine)
    with open_cells(made, SqlCatalogue(made.sql_dir), []):
        pass


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CellMaker, CellMaker]]:
    """DuckDB and Spark on the same files."""
    home = tmp_path_factory.mktemp("cells")
    files = write_rows(home)
    catalogue = SqlCatalogue(settings(home, "duckdb").sql_dir)
    with (
        open_cells(settings(home, "duckdb"), catalogue, files) as duckdb,
        open_cells(settings(home, "local[2]"), catalogue, files) as spark,
    ):
        yield duckdb, spark


@pytest.mark.slow
@needs_spark
@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("question", questions())
def test_spark_gives_the_cells_of_duckdb(makers: tuple[CellMaker, CellMaker], question: str) -> None:
    duckdb, spark = makers
    for statement in STATEMENTS:
        asked = questions()[question]
        wanted, found = duckdb.cells(statement, asked), spark.cells(statement, asked)
        assert wanted.height > 0 or question == "nobody"
        assert differences(wanted, found) == [], statement


@pytest.mark.slow
@needs_spark
@pytest.mark.xdist_group("spark")
def test_spark_gives_the_levels_of_duckdb(makers: tuple[CellMaker, CellMaker]) -> None:
    asked = questions()["level"]
    for column in ("code", "level", "size", "flag"):
        duckdb, spark = (maker.levels(column, asked) for maker in makers)
        assert duckdb.to_list() == spark.to_list()
    assert [maker.only_0_and_1("size", asked) for maker in makers] == [False, False]


def test_without_pyspark_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyspark" else found(name))
    with pytest.raises(AxstatError, match=r"axstat\[spark\]") as raised:
        open_engine(tmp_path, "local[2]")
    assert raised.value.code == "pyspark_missing"


@pytest.fixture
def with_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pyspark were installed: what is looked at before it is imported."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found("json") if name == "pyspark" else found(name))


@pytest.mark.usefixtures("with_pyspark")
def test_without_java_a_runtime_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(AxstatError) as raised:
        open_engine(tmp_path, "local[2]")
    assert raised.value.code == "java_missing"


@pytest.mark.usefixtures("with_pyspark")
@pytest.mark.parametrize("address", ["spark://127.0.0.1:{port}", "sc://127.0.0.1:{port}/;token=secret"])
def test_where_nobody_answers_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with socket.socket() as bound:  # a port that is taken, and at which nobody listens
        bound.bind(("127.0.0.1", 0))
        address = address.format(port=bound.getsockname()[1])
        with pytest.raises(AxstatError, match=r"127\.0\.0\.1") as raised:
            open_engine(tmp_path, address)
    assert raised.value.code == "engine_unreachable"
    assert raised.value.where == f"AXSTAT_ENGINE={address.split(';')[0]}"
    assert "secret" not in str(raised.value)
