"""Which forms a release folder holds; what is in them is tested where they are written."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.release.forms import write_forms
from pipelines.reporting.data import ReportData
from tests.unit.reporting.made_up import made_up_report


def made(
    folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData
) -> dict[str, str]:
    """Name and hash of every file of a new folder."""
    (folder / "csv").mkdir(parents=True)
    write_forms(folder, library, marts, printed)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_release_has_every_form_and_the_same_bytes_again(
    tmp_path: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData
) -> None:
    first = made(tmp_path / "first", library, marts, printed)
    tables = {f"kosis/{table.id}.csv" for table in library.outputs.kosis.tables}
    assert {
        "codebook.xml", "csv/csv-metadata.json", "sdmx/structure.xml", "sdmx/adoption_rate.csv", "sdmx/progress.csv",
        "jsonstat/adoption_rate.json", "jsonstat/adoption_rate.industry.ax_industry_by_region.json", *tables,
    } <= set(first)  # fmt: skip
    assert made(tmp_path / "second", library, marts, printed) == first


def test_synthetic_data_are_labelled_in_every_form(
    tmp_path: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData
) -> None:
    made(tmp_path / "made_up", library, marts, printed)
    made(tmp_path / "real", library, marts, made_up_report(wave=2022, synthetic=False))
    for name in ("codebook.xml", "csv/csv-metadata.json", "sdmx/structure.xml", "jsonstat/adoption_rate.json",
                 "jsonstat/adoption_rate.industry.total.json", "kosis/DT_AX_IND_01.csv"):  # fmt: skip
        assert "합성 자료" in (tmp_path / "made_up" / name).read_text(encoding="utf-8"), name
        assert "합성 자료" not in (tmp_path / "real" / name).read_text(encoding="utf-8"), name
