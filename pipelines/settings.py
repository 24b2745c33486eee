"""Settings: where things are, read once from the environment and passed down.

Belongs here: paths and switches of one installation. Does not belong here: anything a survey decides
(that is a contract), how names and values are read and judged (environment), any work on what the paths point to.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.environment import POSTGRES_URL, Environment, Notices
from pipelines.errors import AxstatError

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Settings:
    """One installation of axstat.

    Attributes:
        home: the data home; everything a run writes is below it.
        contracts_dir, sql_dir, annual_dir: contracts, SQL and report templates that come with the program.
        workspace_file: where Dagster finds the program.
        lock_file: the lock file of a source checkout, None in an installed wheel.
        environment: variables of the process and of the settings file; they hold secrets, so nothing prints them.
        notices: where word goes of a run that failed.
        postgres_url: the PostgreSQL database of the run history; None: files below the data home.
        json_logs: runs log a JSON object a line.
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
    environment: Mapping[str, str] = field(repr=False)
    notices: Notices
    postgres_url: str | None = field(repr=False)
    json_logs: bool
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
    """Settings from the environment and the settings file it names (`pipelines.environment.VARIABLES` has them all).

    Raises:
        ViolationsError: variables of axstat that do not exist, with the name that was meant; values that are none.
        AxstatError: `AXSTAT_HOME` names something that is not a folder; a settings file that others may read.
    """
    read = Environment.read(os.environ if environment is None else environment)
    home = Path(read.values.get("AXSTAT_HOME") or "data").expanduser().absolute()
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
    contracts_dir = root / "data_contracts"
    read.require_known(also_named_in=contracts_dir / "sources.yaml")
    postgres_url = read.postgres_url()
    return Settings(
        home=home,
        contracts_dir=contracts_dir,
        sql_dir=root / "sql",
        annual_dir=root / "reports" / "annual",
        workspace_file=root / "workspace.yaml",
        lock_file=lock_file if lock_file.is_file() else None,
        environment=read.values if postgres_url is None else {**read.values, POSTGRES_URL: postgres_url},
        notices=read.notices(),
        postgres_url=postgres_url,
        json_logs=read.json_logs(),
        engine=read.engine(),
        memory_limit=read.memory_limit(),
    )
