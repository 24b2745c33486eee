"""Settings: where things are, read once from the environment and passed down.

Belongs here: paths and switches of one installation. Does not belong here: anything a survey decides
(that is a contract), or any work on what the paths point to.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import AxstatError

_PACKAGE = Path(__file__).parent

DUCKDB = "duckdb"
# A Spark master (one machine, or a standalone cluster with its spare masters), or a Spark Connect server
_ENGINE = re.compile(r"local\[(?:[1-9]\d*|\*)\]|spark://[^\s,/]+:\d+(?:,[^\s,/]+:\d+)*|sc://[^\s/;]+(?:/[^\s]*)?")
_MEMORY = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[KMGT])(?P<binary>i?)B", re.IGNORECASE)
_DEFAULT_MEMORY = "2GB"


@dataclass(frozen=True)
class Settings:
    """One installation of axstat.

    Attributes:
        home: the data home; everything a run writes is below it.
        contracts_dir, sql_dir, annual_dir: contracts, SQL and report templates that come with the program.
        workspace_file: where Dagster finds the program.
        lock_file: the lock file of a source checkout, None in an installed wheel.
        engine: what adds microdata up to cells: ``duckdb``, a Spark master or a Spark Connect address; None: nobody
            said, which means DuckDB where cells are needed.
        memory_limit: bytes that this engine may take before it spills to `spill_dir` (of a cluster: its driver).
    """

    home: Path
    contracts_dir: Path
    sql_dir: Path
    annual_dir: Path
    workspace_file: Path
    lock_file: Path | None
    engine: str | None = field(repr=False)  # an address may hold a token
    memory_limit: int

    @property
    def deliveries_dir(self) -> Path:
        """Where deliveries are dropped, one folder each."""
        return self.home / "deliveries"

    @property
    def edits_dir(self) -> Path:
        """Edit files, one folder `<survey>-<wave>` each; microdata, readable by their owner only."""
        return self.home / "edits"

    @property
    def warehouse_file(self) -> Path:
        """The working DuckDB file; one writer at a time, never opened by analysts."""
        return self.home / "warehouse" / "axstat.duckdb"

    @property
    def benchmarks_dir(self) -> Path:
        """Replies of outside series as they were fetched, one folder each."""
        return self.home / "benchmarks"

    @property
    def weight_reports_dir(self) -> Path:
        """Weight reports, one page a survey and wave; they name units of the sample."""
        return self.home / "warehouse" / "weights"

    @property
    def codebook_reports_dir(self) -> Path:
        """Comparisons of codebooks, one page a survey, wave and language."""
        return self.home / "warehouse" / "codebooks"

    @property
    def published_dir(self) -> Path:
        """Releases, one folder each, and `latest`."""
        return self.home / "published"

    @property
    def pre_access_dir(self) -> Path:
        """Releases that those of the pre-access list may see before their moment; readable by their owner only."""
        return self.home / "pre_access"

    @property
    def cells_dir(self) -> Path:
        """Microdata as Parquet for an engine, a folder each content; readable by their owner only."""
        return self.home / "cells"

    @property
    def spill_dir(self) -> Path:
        """What an engine puts aside while its memory is full; microdata, readable by their owner only."""
        return self.cells_dir / "spill"

    @property
    def dagster_home(self) -> Path:
        """Run history of Dagster."""
        return self.home / "dagster"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment: `AXSTAT_HOME` (default `./data`), `AXSTAT_ENGINE`, `AXSTAT_MEMORY_LIMIT` (2GB).

    Raises:
        AxstatError: if `AXSTAT_HOME` names something that is not a folder, `AXSTAT_ENGINE` no engine, or
            `AXSTAT_MEMORY_LIMIT` no amount of memory.
    """
    values = os.environ if environment is None else environment
    home = Path(values.get("AXSTAT_HOME") or "data").expanduser().absolute()
    if home.exists() and not home.is_dir():
        raise AxstatError(
            "data_home",
            where=f"AXSTAT_HOME={home}",
            expected="a folder, or a path that does not exist yet",
            got="a file",
            hint="point AXSTAT_HOME at a folder",
        )
    checkout = _PACKAGE.parent
    bundled = _PACKAGE / "_data"
    root = bundled if bundled.is_dir() else checkout
    lock_file = checkout / "requirements.lock"
    return Settings(
        home=home,
        contracts_dir=root / "data_contracts",
        sql_dir=root / "sql",
        annual_dir=root / "reports" / "annual",
        workspace_file=root / "workspace.yaml",
        lock_file=lock_file if lock_file.is_file() else None,
        engine=_engine(values.get("AXSTAT_ENGINE") or None),
        memory_limit=_memory_limit(values.get("AXSTAT_MEMORY_LIMIT") or _DEFAULT_MEMORY),
    )


def without_token(address: str) -> str:
    """An engine's address as messages may show it: parameters of Spark Connect, such as a token, are left out."""
    return address.split(";")[0]


def _engine(text: str | None) -> str | None:
    if text in (None, DUCKDB) or _ENGINE.fullmatch(str(text)):
        return text
    raise AxstatError(
        "engine_address",
        where=f"AXSTAT_ENGINE={without_token(str(text))}",
        expected="duckdb, local[2], spark://host:7077 or sc://host:15002",
        got="something else",
        hint="correct the address, or leave AXSTAT_ENGINE unset to use DuckDB",
    )


def _memory_limit(text: str) -> int:
    """Bytes, at least 100 MB: a binary unit (GiB) counts in 1024, another (GB) in 1000."""
    found = _MEMORY.fullmatch(text.strip())
    if found is not None:
        power = "KMGT".index(found["unit"].upper()) + 1
        size = int(float(found["number"]) * (1024 if found["binary"] else 1000) ** power)
        if size >= 100_000_000:
            return size
    raise AxstatError(
        "memory_limit",
        where=f"AXSTAT_MEMORY_LIMIT={text}",
        expected="100MB or more, such as 2GB or 1.5GiB",
        got="less" if found else "no amount of memory",
        hint="correct the limit",
    )
