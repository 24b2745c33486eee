"""CSVW metadata held against the CSV files themselves: header, type, code, NULL, key, reference of every cell."""

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.reporting.csvw import METADATA, write_csvw
from pipelines.reporting.data import ReportData
from pipelines.warehouse.published import export_csv
from tests.unit.reporting.made_up import library as contracts

# Lexical forms of the types that CSVW takes from XML Schema
FORMS = {
    "integer": r"[+-]?\d+",
    "long": r"[+-]?\d+",
    "double": r"[+-]?(\d+(\.\d*)?|\.\d+)([Ee][+-]?\d+)?",
    "string": r"(?s).*",
}


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return contracts()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, report: ReportData) -> Path:
    folder = tmp_path_factory.mktemp("csv")
    marts = {
        name: frame.filter(pl.col("wave") >= 2024) if "wave" in frame.columns else frame
        for name, frame in report.marts.items()
    }
    for name, frame in marts.items():
        export_csv(frame.select(library.marts[f"mart.{name}"].column_names), folder / f"{name}.csv")
    write_csvw(library, marts, folder, release="2025.1", published=datetime.date(2025, 12, 17), remark="made up")
    return folder


@pytest.fixture(scope="module")
def metadata(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    return found


def read(folder: Path, url: str) -> pl.DataFrame:
    return pl.read_csv(folder / url, infer_schema=False).fill_null("")


def test_it_describes_every_file(folder: Path, metadata: Mapping[str, Any]) -> None:
    assert metadata["@context"][0] == "http://www.w3.org/ns/csvw"
    assert sorted(table["url"] for table in metadata["tables"]) == sorted(path.name for path in folder.glob("*.csv"))
    assert metadata["rdfs:comment"] == "made up"


def test_every_cell_has_the_form_it_says(folder: Path, metadata: Mapping[str, Any]) -> None:
    for table in metadata["tables"]:
        rows = read(folder, table["url"])
        columns = table["tableSchema"]["columns"]
        assert rows.columns == [column["name"] for column in columns], table["url"]
        for column in columns:
            cells = rows[column["name"]].unique()
            datatype = column["datatype"]
            form = datatype["format"] if isinstance(datatype, dict) else FORMS[datatype]
            wrong = [cell for cell in cells if cell != column["null"] and not re.fullmatch(form, cell)]
            assert wrong == [], f"{table['url']} {column['name']}"
            if column["required"]:
                assert column["null"] not in set(cells), f"{table['url']} {column['name']}"


def test_keys_tell_rows_apart_and_references_find_theirs(folder: Path, metadata: Mapping[str, Any]) -> None:
    referring = set()
    for table in metadata["tables"]:
        rows = read(folder, table["url"])
        assert not rows.select(table["tableSchema"]["primaryKey"]).is_duplicated().any(), table["url"]
        for key in table["tableSchema"]["foreignKeys"]:
            referring.add((table["url"], key["reference"]["resource"]))
            other = read(folder, key["reference"]["resource"])
            lost = rows.join(
                other, left_on=key["columnReference"], right_on=key["reference"]["columnReference"], how="anti"
            )
            assert lost.is_empty(), (table["url"], lost.head(3))
    assert {("adoption_rate.csv", "domain.csv"), ("adoption_rate.csv", "measure.csv")} <= referring
    # Its rows of all domains together are in no list of domains
    assert ("decomposition.csv", "domain.csv") not in referring


def test_titles_are_the_header_and_the_labels_in_both_languages(
    metadata: Mapping[str, Any], library: ContractLibrary
) -> None:
    for table in metadata["tables"]:
        contract = library.marts[f"mart.{table['url'].removesuffix('.csv')}"]
        for made, column in zip(table["tableSchema"]["columns"], contract.columns, strict=True):
            assert made["titles"] == {"und": column.name, "en": column.label_en, "ko": column.label_ko}
            assert [each["@language"] for each in made["dc:description"]] == ["en", "ko"]
