"""JSON-stat files read back by pyjstat, and by this project's own reader of other offices' replies."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from pyjstat import pyjstat

from pipelines.contracts.library import ContractLibrary
from pipelines.intake.form import FileForm
from pipelines.intake.formats.json_stat import read_json_stat
from pipelines.reporting.data import ReportData
from pipelines.reporting.json_stat import write_json_stat
from tests.unit.reporting.made_up import library as contracts

PUBLISHED = datetime.date(2025, 12, 17)
KEY = ["domain_code", "measure", "base", "unit_weighting"]


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return contracts()


@pytest.fixture(scope="module")
def marts(report: ReportData) -> Mapping[str, pl.DataFrame]:
    """One row less, so that a cube has a hole; NULL where the report suppresses."""
    rates = report.marts["adoption_rate"]
    hole = (pl.col("domain_type") == "total") & (pl.col("wave") == 2023) & (pl.col("measure") == "genai_adoption")
    return {**report.marts, "adoption_rate": rates.filter(~hole)}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> Path:
    folder = tmp_path_factory.mktemp("jsonstat")
    write_json_stat(library, marts, folder, release="2025.1", published=PUBLISHED, remark="made up")
    return folder


def test_the_collection_names_a_data_set_for_each_survey_and_kind_of_domain(
    folder: Path, marts: Mapping[str, pl.DataFrame]
) -> None:
    collection = json.loads((folder / "adoption_rate.json").read_text(encoding="utf-8"))
    assert (collection["version"], collection["class"]) == ("2.0", "collection")
    named = [item["href"] for item in collection["link"]["item"]]
    assert sorted([*named, "adoption_rate.json"]) == sorted(path.name for path in folder.iterdir())
    found = {
        tuple(json.loads((folder / name).read_text())["extension"][part] for part in ("survey", "domain_type"))
        for name in named
    }
    assert found == set(marts["adoption_rate"].select("survey", "domain_type").unique().rows())


# pyjstat warns of a function that it calls itself
@pytest.mark.filterwarnings("ignore:Shouldn't use this function:DeprecationWarning")
@pytest.mark.parametrize(("survey", "domain_type"), [("industry", "total"), ("public", "public_field")])
def test_pyjstat_reads_back_every_figure(
    folder: Path, marts: Mapping[str, pl.DataFrame], survey: str, domain_type: str
) -> None:
    text = (folder / f"adoption_rate.{survey}.{domain_type}.json").read_text(encoding="utf-8")
    read = pyjstat.Dataset.read(text).write("dataframe", naming="id")
    found = {tuple(row[:-1]): row[-1] for row in read.itertuples(index=False) if row[-1] == row[-1]}
    rows = marts["adoption_rate"].filter(pl.col("survey") == survey, pl.col("domain_type") == domain_type)
    expected = {
        (str(row["wave"]), *(row[name] for name in KEY), figure): row[figure]
        for row in rows.iter_rows(named=True)
        for figure in ("estimate", "se", "ci_low", "ci_high", "n")
        if row[figure] is not None
    }
    assert found == expected


def test_statuses_tell_breaks_and_what_is_not_shown_and_a_missing_row_has_none(
    folder: Path, marts: Mapping[str, pl.DataFrame]
) -> None:
    name = "adoption_rate.public.public_sector.json"
    table = read_json_stat(folder / name, FileForm(), file=name)
    read = table.frame.rename(dict(zip(table.frame.columns, table.headers, strict=True)))
    told = {
        tuple(row[part] for part in ("wave", *KEY)): row["status"]
        for row in read.filter(pl.col("figure") == "estimate").iter_rows(named=True)
    }
    rows = marts["adoption_rate"].filter(pl.col("survey") == "public", pl.col("domain_type") == "public_sector")
    expected = {}
    for row in rows.iter_rows(named=True):
        status = f"{row['obs_status']}:{row['conf_status']}:{row['reliability']}"
        ordinary = status == "A:F:publish" and row["estimate"] is not None
        expected[(str(row["wave"]), *(row[part] for part in KEY))] = None if ordinary else status
    assert told == expected
    assert {"b:F:publish", "A:F:suppress"} <= set(told.values())
    whole = json.loads((folder / name).read_text(encoding="utf-8"))
    labels = whole["extension"]["status"]
    assert set(labels["label"]) == set(labels["label_ko"]) == set(told.values()) - {None} | {labels["default"]}
    assert labels["label"]["A:F:suppress"] == "Normal value, Free, Suppress"


def test_a_hole_of_the_cube_has_neither_value_nor_status(folder: Path) -> None:
    name = "adoption_rate.industry.total.json"
    table = read_json_stat(folder / name, FileForm(), file=name)
    read = table.frame.rename(dict(zip(table.frame.columns, table.headers, strict=True)))
    assert read.filter(pl.col("wave") == "2023", pl.col("measure") == "genai_adoption").is_empty()


def test_labels_are_in_both_languages_and_the_remark_stands_on_each_file(
    folder: Path, library: ContractLibrary
) -> None:
    industry = library.classifications["ax_industries"].item("AX1")
    whole = json.loads((folder / "adoption_rate.industry.ax_industry.json").read_text(encoding="utf-8"))
    domain = whole["dimension"]["domain_code"]
    assert domain["category"]["label"]["AX1"] == industry.label_en
    assert domain["extension"]["category_label_ko"]["AX1"] == industry.label_ko
    assert whole["role"] == {"time": ["wave"], "metric": ["figure"]}
    for path in folder.iterdir():
        made = json.loads(path.read_text(encoding="utf-8"))
        assert (made["note"], made["updated"]) == (["made up"], "2025-12-17")


def test_the_same_tables_give_the_same_bytes(
    folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], tmp_path: Path
) -> None:
    write_json_stat(library, marts, tmp_path, release="2025.1", published=PUBLISHED, remark="made up")
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
