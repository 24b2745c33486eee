"""Cells by Apache Spark: on this machine, on a cluster, or through Spark Connect. The only module that knows pyspark.

Belongs here: the session, its settings, what keeps it from starting. Does not belong here: the translation of a
statement (portable). pyspark comes with the extra `axstat[spark]` and is imported only where an address asks for it.
"""

import importlib.util
import os
import shutil
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import polars as pl
from sqlglot import exp

from pipelines.environment import without_token
from pipelines.errors import AxstatError
from pipelines.warehouse.engines.portable import in_spark, spark_view

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT, _LOCAL = "sc://", "local["
_CONNECT_PORT = 15002
# Seconds to wait for a server to take a connection
_PATIENCE = 10.0
# What the statements were held against DuckDB under
_SESSION = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
}


class SparkEngine:
    """See Engine; made by :func:`spark_engine`."""

    name = "spark"

    def __init__(self, session: "SparkSession") -> None:
        """Take over a session."""
        self._session = session

    def read(self, table: str, files: Sequence[Path]) -> None:
        """A view of the files, which every executor must see under the same path."""
        with _readable():
            paths = [file.absolute().as_uri() for file in files]
            self._session.read.parquet(*paths).createOrReplaceTempView(spark_view(table))

    def name_query(self, table: str, query: exp.Query, *, again: bool) -> None:
        """A view: Spark makes its rows once for a query that reads them twice, and anew where an executor is lost."""
        with _readable():
            self._session.sql(in_spark(query)).createOrReplaceTempView(spark_view(table))

    def rows(self, query: exp.Query) -> pl.DataFrame:
        """The rows of a query."""
        with _readable():
            found = pl.from_arrow(self._session.sql(in_spark(query)).toArrow())
        assert isinstance(found, pl.DataFrame)
        return found


@contextmanager
def spark_engine(address: str, *, memory_limit: int, spill_dir: Path) -> Iterator[SparkEngine]:
    """A session at a Spark master or Spark Connect address; stopped at the end.

    Args:
        address: ``local[2]``, ``spark://host:port`` or ``sc://host:port``.
        memory_limit: bytes of this machine's Java process.
        spill_dir: where it puts what does not fit.

    Raises:
        AxstatError: pyspark or Java is not there, or nobody answers at the address.
    """
    _require_pyspark(address)
    if not address.startswith(_CONNECT):
        _require_java(address)
    if not address.startswith(_LOCAL):
        _require_answer(address)
    from pyspark.sql import SparkSession

    # A session of this process with other settings would be taken up as it is
    builder = SparkSession.builder.appName("axstat")
    with _readable():
        if address.startswith(_CONNECT):
            session = builder.remote(address).create()
        else:
            for key, value in _master_settings(address, memory_limit, spill_dir).items():
                builder = builder.config(key, value)
            session = builder.master(address).getOrCreate()
    try:
        for key, value in _SESSION.items():
            session.conf.set(key, value)
        yield SparkEngine(session)
    finally:
        session.stop()


def _master_settings(address: str, memory_limit: int, spill_dir: Path) -> dict[str, str]:
    settings = {
        "spark.driver.memory": f"{memory_limit // 2**20}m",
        "spark.local.dir": str(spill_dir),
        "spark.sql.warehouse.dir": str(spill_dir),
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if address.startswith(_LOCAL):
        # A machine that sleeps, or is too busy to answer itself, is not a lost one
        settings["spark.network.timeout"] = "1h"
    if address.startswith(_LOCAL) or urlsplit(address).hostname in ("127.0.0.1", "localhost"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings


def _require_pyspark(address: str) -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise AxstatError(
            "pyspark_missing",
            where=f"AXSTAT_ENGINE={without_token(address)}",
            expected="pyspark",
            got="not installed",
            hint="pip install 'axstat[spark]', or leave AXSTAT_ENGINE unset to use DuckDB",
        )


def _require_java(address: str) -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").is_file()):
        raise AxstatError(
            "java_missing",
            where=f"AXSTAT_ENGINE={without_token(address)}",
            expected="Java 17 or later, on the path or at JAVA_HOME",
            got="none",
            hint="install a Java runtime (Debian: default-jre-headless), or use a Spark Connect address (sc://…)",
        )


def _require_answer(address: str) -> None:
    """Spark itself asks for minutes before it gives up."""
    found = [urlsplit(f"//{server}") for server in address.split("://")[1].split("/")[0].split(";")[0].split(",")]
    refusals = []
    for server in found:
        try:
            with socket.create_connection((server.hostname, server.port or _CONNECT_PORT), timeout=_PATIENCE):
                return
        except OSError as error:
            refusals.append(f"{server.netloc}: {error.strerror or error}")
    raise AxstatError(
        "engine_unreachable",
        where=f"AXSTAT_ENGINE={without_token(address)}",
        expected="a Spark master, or a Spark Connect server at sc://",
        got="; ".join(refusals),
        hint="correct the address, or start the server",
    )


@contextmanager
def _readable() -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        with warnings.catch_warnings():
            # It says so of pandas, by which nothing is read here
            warnings.filterwarnings(
                "ignore", message="PySpark does not yet fully support pandas", category=FutureWarning
            )
            yield
    except (PySparkException, Py4JError) as error:
        raise AxstatError(
            "engine_failed",
            where="Spark",
            expected="a statement that the engine takes, on files that all executors see",
            got=(str(error).strip().splitlines() or [type(error).__name__])[0][:400],
            hint="check that the folder of the data is there for every executor under the same path",
        ) from error
