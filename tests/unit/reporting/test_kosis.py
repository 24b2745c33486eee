"""KOSIS-shaped tables: what an upload to KOSIS would have."""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.reporting.data import ReportData
from pipelines.reporting.kosis import kosis_rows, write_kosis
from tests.unit.reporting.made_up import library as contracts

PUBLISHED = datetime.date(2025, 12, 17)


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return contracts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, report: ReportData) -> Path:
    folder = tmp_path_factory.mktemp("kosis")
    write_kosis(library, report.marts, folder, published=PUBLISHED, synthetic=True)
    return folder


def read(folder: Path, id_: str) -> pl.DataFrame:
    return pl.read_csv(folder / f"{id_}.csv", infer_schema=False)


def test_files_open_in_korean_spreadsheets(folder: Path, library: ContractLibrary) -> None:
    assert {path.stem for path in folder.iterdir()} == {table.id for table in library.outputs.kosis.tables}
    for path in folder.iterdir():
        assert path.read_bytes().startswith(b"\xef\xbb\xbf"), path.name
    assert read(folder, "DT_AX_IND_01").columns == [
        "기관코드", "통계표ID", "통계표명",
        "분류값ID1", "분류명1", "분류값명1", "분류값영문명1",
        "분류값ID2", "분류명2", "분류값명2", "분류값영문명2",
        "분류값ID3", "분류명3", "분류값명3", "분류값영문명3",
        "항목ID", "항목명", "항목영문명", "단위명", "단위영문명", "수록주기", "수록시점", "수치값", "최종수정일",
    ]  # fmt: skip


def test_numbers_are_the_marts_in_per_cent_to_the_last_digit(folder: Path, report: ReportData) -> None:
    rows = read(folder, "DT_AX_IND_01")
    mart = report.marts["adoption_rate"].filter(
        pl.col("survey") == "industry", pl.col("measure") == "ai_adoption", pl.col("base") == "answered",
        pl.col("domain_type") != "ax_industry*region",
    )  # fmt: skip
    figures = {"estimate": 100, "se": 100, "ci_low": 100, "ci_high": 100, "n": 1}
    found = {
        (row["분류값ID1"], row["분류값ID2"], row["분류값ID3"], row["수록시점"], row["항목ID"]): row["수치값"]
        for row in rows.iter_rows(named=True)
    }
    assert len(found) == rows.height == mart.height * len(figures)
    for row in mart.iter_rows(named=True):
        for figure, times in figures.items():
            key = (row["domain_type"], row["domain_code"], row["unit_weighting"], str(row["wave"]), figure)
            if row[figure] is None:
                assert found[key] == ("*" if row["reliability"] == "suppress" else "-")
            else:
                assert Decimal(found[key]) == Decimal(repr(row[figure])) * times
    assert not rows["수치값"].str.contains("[eE]").any()


def test_a_withheld_number_is_marked_as_confidential(library: ContractLibrary, report: ReportData) -> None:
    place = (pl.col("domain_code") == "AX1") & (pl.col("wave") == 2025)
    rates = report.marts["adoption_rate"].with_columns(
        pl.when(place).then(pl.lit("C")).otherwise(pl.col("conf_status")).alias("conf_status"),
        pl.when(place).then(None).otherwise(pl.col("estimate")).alias("estimate"),
    )
    table = next(each for each in library.outputs.kosis.tables if each.id == "DT_AX_IND_01")
    rows = kosis_rows(
        table,
        library,
        {**report.marts, "adoption_rate": rates},
        published=PUBLISHED,
        synthetic=False,
    )
    mine = rows.filter(pl.col("분류값ID2") == "AX1", pl.col("수록시점") == "2025")
    assert set(mine.filter(pl.col("항목ID") == "estimate")["수치값"]) == {"X"}
    assert not set(mine.filter(pl.col("항목ID") == "n")["수치값"]) & {"X"}
    assert set(rows["통계표명"]) == {table.title_ko}


def test_codes_have_their_names_and_units(folder: Path, library: ContractLibrary) -> None:
    rows = read(folder, "DT_AX_TGT_01")
    industry = library.classifications["ax_industries"].item("AX1")
    assert set(rows.filter(pl.col("분류값ID3") == "AX1")["분류값명3"]) == {industry.label_ko}
    assert set(rows.filter(pl.col("분류값ID3") == "AX1")["분류값영문명3"]) == {industry.label_en}
    units = dict(rows.select("항목ID", "단위명").unique().rows())
    assert (units["estimate"], units["gap_pp"], units["required_pp_per_year"]) == ("%", "%p", "연간 %p")
    assert all(title.startswith("[합성 자료] ") for title in rows["통계표명"])


def test_every_row_of_a_table_is_told_apart(folder: Path) -> None:
    for path in folder.iterdir():
        rows = read(folder, path.stem)
        key = [name for name in rows.columns if name.startswith("분류값ID")] + ["항목ID", "수록시점"]
        assert not rows.select(key).is_duplicated().any(), path.name


def test_the_same_tables_give_the_same_bytes(
    folder: Path, library: ContractLibrary, report: ReportData, tmp_path: Path
) -> None:
    shuffled: Mapping[str, pl.DataFrame] = {
        **report.marts, "adoption_rate": report.marts["adoption_rate"].sample(fraction=1.0, shuffle=True, seed=3)
    }  # fmt: skip
    write_kosis(library, shuffled, tmp_path, published=PUBLISHED, synthetic=True)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
