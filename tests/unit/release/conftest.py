"""Settings of an empty data home, the contracts, and a made-up release folder."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.release.forms import write_forms
from pipelines.release.packages import needed_by
from pipelines.release.sbom import SBOM, write_sbom
from pipelines.reporting.blanking import printable
from pipelines.reporting.data import ReportData
from pipelines.reporting.workbook import write_workbook
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import export_csv, export_parquet, publishable, write_published
from pipelines.warehouse.reference import reference_frames
from tests.unit.reporting.made_up import ANNUAL, made_up_report

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="session")
def marts(library: ContractLibrary) -> Mapping[str, pl.DataFrame]:
    """Every published table of 2022, without what may not be printed."""
    reference = {
        name.split(".")[1]: frame
        for name, frame in reference_frames(library, last_wave=2022).items()
        if name in library.marts
    }
    made_up = {
        name: frame.filter(pl.col("wave") <= 2022) if "wave" in frame.columns else frame
        for name, frame in made_up_report(wave=2022).marts.items()
    }
    return {
        name: publishable(frame, contract)
        for name, frame in sorted({**reference, **printable(made_up)}.items())
        if (contract := library.marts[f"mart.{name}"])
    }


@pytest.fixture(scope="session")
def printed(marts: Mapping[str, pl.DataFrame]) -> ReportData:
    return made_up_report(wave=2022, **marts)


@pytest.fixture(scope="session")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    library: ContractLibrary,
    marts: Mapping[str, pl.DataFrame],
    printed: ReportData,
) -> Path:
    """A release folder as publishing makes it, without the report; not to be changed."""
    folder = tmp_path_factory.mktemp("release")
    for form in ("parquet", "csv"):
        (folder / form).mkdir()
    write_published(
        {f"mart.{name}": frame for name, frame in marts.items()},
        folder / "axstat.duckdb",
        library,
        synthetic=True,
        macros=SqlCatalogue(ROOT / "sql").layer("published"),
    )
    for name, frame in marts.items():
        export_parquet(frame, folder / "parquet" / f"{name}.parquet")
        export_csv(frame, folder / "csv" / f"{name}.csv")
    write_forms(folder, library, marts, printed)
    write_workbook(printed, folder / "axstat.xlsx", template_dir=ANNUAL)
    published = datetime.datetime.combine(printed.publication_date, datetime.time(12, tzinfo=datetime.UTC))
    write_sbom(needed_by("axstat"), folder / SBOM, root="axstat", published=published, lock_sha256=None)
    return folder
