"""SDMX files read back by pysdmx, which checks them against the schemas of SDMX-ML 3.0 and the structure."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pysdmx.io
import pytest
from lxml import etree

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.outputs import SdmxTable
from pipelines.errors import AxstatError
from pipelines.reporting.data import ReportData
from pipelines.reporting.sdmx import code_id, code_ids, sdmx_rows, write_sdmx_csv, write_structure
from tests.unit.reporting.made_up import library as contracts

PUBLISHED = datetime.date(2025, 12, 17)
XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
COMMON = "{http://www.sdmx.org/resources/sdmxml/schemas/v3_0/common}"


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return contracts()


@pytest.fixture(scope="module")
def marts(report: ReportData) -> Mapping[str, pl.DataFrame]:
    """Few rows, one with a withheld estimate; the report has taken out what is suppressed."""
    rates = report.marts["adoption_rate"].filter(pl.col("wave") >= 2024, pl.col("base") == "answered")
    withheld = (pl.col("domain_code") == "AX1*250+").alias("withheld")
    rates = rates.with_columns(pl.when(withheld).then(None).otherwise(pl.col("estimate")).alias("estimate"))
    return {**report.marts, "adoption_rate": rates}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> Path:
    folder = tmp_path_factory.mktemp("sdmx")
    write_structure(library, marts, folder / "structure.xml", release="2025.1", published=PUBLISHED, synthetic=True)
    for entry in library.outputs.sdmx.tables:
        write_sdmx_csv(entry, library, marts, folder / f"{entry.id}.csv")
    return folder


def entry_of(library: ContractLibrary, id_: str) -> SdmxTable:
    return next(entry for entry in library.outputs.sdmx.tables if entry.id == id_)


@pytest.mark.parametrize("id_", ["ADOPTION_RATE", "PROGRESS"])
def test_pysdmx_reads_back_every_cell(
    id_: str, folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> None:
    entry = entry_of(library, id_)
    [dataset] = pysdmx.io.get_datasets(folder / f"{id_}.csv", folder / "structure.xml", validate=True)
    table = library.marts[entry.table]
    mart = marts[entry.table.partition(".")[2]]
    assert len(dataset.data) == mart.height
    ids = code_ids(entry, library, marts)
    for column in table.columns:
        name = {"wave": "TIME_PERIOD", entry.value: "OBS_VALUE"}.get(column.name, column.name.upper())
        if column.type in ("DOUBLE", "BIGINT", "INTEGER"):
            found = [None if value != value else float(value) for value in dataset.data[name].astype("float64")]
            assert found == mart[column.name].cast(pl.Float64).to_list(), name
        else:
            sent = [
                None if value is None else ids.get(column.name, {}).get(value, value) for value in mart[column.name]
            ]
            assert [value or None for value in dataset.data[name]] == sent, name


def test_a_withheld_estimate_is_an_empty_field_with_its_statuses(
    folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame]
) -> None:
    rows = pl.read_csv(folder / "ADOPTION_RATE.csv", infer_schema=False)
    withheld = rows.filter(pl.col("DOMAIN_CODE") == "AX1__250_PLUS")
    assert withheld.height
    assert withheld["OBS_VALUE"].null_count() == withheld.height
    assert withheld["OBS_STATUS"].null_count() == withheld["CONF_STATUS"].null_count() == 0
    assert set(rows["STRUCTURE"]) == {"dataflow"}
    assert set(rows["STRUCTURE_ID"]) == {"AXSTAT:ADOPTION_RATE(1.0.0)"}


def test_dimensions_are_the_key_and_the_time_is_the_wave(folder: Path, library: ContractLibrary) -> None:
    message = pysdmx.io.read_sdmx(folder / "structure.xml", validate=True)
    structures = {made.id: made for made in message.get_data_structure_definitions()}
    for entry in library.outputs.sdmx.tables:
        components = structures[entry.id].components
        key = [column for column in library.marts[entry.table].key if column != "wave"]
        assert [each.id for each in components.dimensions] == [*(name.upper() for name in key), "TIME_PERIOD"]
        assert components.measures[0].id == "OBS_VALUE"
        told = {each.id for each in (*components.dimensions, *components.measures, *components.attributes)}
        assert len(told) == len(library.marts[entry.table].columns)
    assert message.header is not None
    assert (str(message.header.test).lower(), message.header.prepared.date()) == ("true", PUBLISHED)


def test_statuses_have_the_codes_of_sdmx(folder: Path, library: ContractLibrary) -> None:
    message = pysdmx.io.read_sdmx(folder / "structure.xml", validate=True)
    lists = {made.id: {code.id for code in made.items} for made in message.get_codelists()}
    # Codes of the cross-domain lists CL_OBS_STATUS and CL_CONF_STATUS of SDMX
    assert {"A", "B"} <= lists["CL_OBS_STATUS"] <= set("ABDEFGHIJKLMNOPQSUVW")
    assert "F" in lists["CL_CONF_STATUS"]
    assert all(code.isupper() for code in lists["CL_OBS_STATUS"] | lists["CL_CONF_STATUS"])
    items = library.classifications["domain_types"].items
    assert lists["CL_DOMAIN_TYPE"] == {item.code.replace("*", "__") for item in items}


def test_names_are_in_both_languages(folder: Path, library: ContractLibrary) -> None:
    root = etree.parse(folder / "structure.xml").getroot()
    for owner in {element.getparent() for element in root.iter(f"{COMMON}Name")}:
        assert [name.get(XML_LANGUAGE) for name in owner.findall(f"{COMMON}Name")] == ["en", "ko"], owner.get("id")
    industry = library.classifications["ax_industries"].item("AX1")
    [code] = [each for each in root.iter() if each.get("id") == "AX1"]
    assert [name.text for name in code.findall(f"{COMMON}Name")] == [industry.label_en, industry.label_ko]


def test_the_same_tables_give_the_same_bytes(
    folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], tmp_path: Path
) -> None:
    write_structure(library, marts, tmp_path / "s.xml", release="2025.1", published=PUBLISHED, synthetic=True)
    assert (tmp_path / "s.xml").read_bytes() == (folder / "structure.xml").read_bytes()


def test_a_code_that_is_no_identifier_is_refused(library: ContractLibrary) -> None:
    assert code_id("AX1*250+", "domain_code", library.outputs) == "AX1__250_PLUS"
    assert code_id("b", "obs_status", library.outputs) == "B"
    with pytest.raises(AxstatError, match="sdmx_identifier"):
        code_id("제주", "domain_code", library.outputs)


def test_two_codes_with_one_identifier_are_refused(library: ContractLibrary, marts: Mapping[str, pl.DataFrame]) -> None:
    twin = (
        marts["domain"]
        .filter(pl.col("domain_code") == "AX1*250+")
        .with_columns(pl.lit("AX1__250_PLUS").alias("domain_code"))
    )
    entry = entry_of(library, "ADOPTION_RATE")
    with pytest.raises(AxstatError, match="sdmx_identifier"):
        sdmx_rows(entry, library, {**marts, "domain": pl.concat([marts["domain"], twin])})


def test_a_code_without_label_is_refused(library: ContractLibrary, marts: Mapping[str, pl.DataFrame]) -> None:
    fewer = marts["domain"].filter(pl.col("domain_code") != "AX1")
    with pytest.raises(AxstatError, match="no_label"):
        sdmx_rows(entry_of(library, "ADOPTION_RATE"), library, {**marts, "domain": fewer})
