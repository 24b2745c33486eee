"""A changed cell, planted in each form of a release, is found; a release as it was written has none."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import fastexcel
import openpyxl
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.release.equality import FILE, MORE, MOST, NOT_THERE, ROW, THERE, Difference, unequal_cells
from pipelines.reporting.blanking import printable
from pipelines.reporting.data import ReportData
from pipelines.reporting.workbook import write_workbook
from pipelines.warehouse.published import publishable
from tests.unit.reporting.made_up import ANNUAL, made_up_report

KEY = (
    "survey=industry, wave=2022, domain_type=ax_industry, domain_code=AX1, measure=ai_adoption, base=answered, "
    "unit_weighting=unit"
)
HERE = (
    (pl.col("survey") == "industry") & (pl.col("wave") == 2022) & (pl.col("domain_type") == "ax_industry")
    & (pl.col("domain_code") == "AX1") & (pl.col("measure") == "ai_adoption") & (pl.col("base") == "answered")
    & (pl.col("unit_weighting") == "unit")
)  # fmt: skip
Check = Callable[[], list[Difference]]


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of the release to change."""
    return Path(shutil.copytree(written, tmp_path / "release"))


@pytest.fixture
def check(folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData) -> Check:
    return lambda: unequal_cells(folder, library, marts, printed, template_dir=ANNUAL)


@pytest.fixture(scope="module")
def estimate(marts: Mapping[str, pl.DataFrame]) -> float:
    [value] = marts["adoption_rate"].filter(HERE)["estimate"]
    assert isinstance(value, float)
    return value


def test_a_release_as_written_is_equal(check: Check) -> None:
    assert check() == []


def test_a_cell_of_the_database(folder: Path, check: Check, estimate: float) -> None:
    changed = round(estimate + 1e-12, 15)
    with duckdb.connect(str(folder / "axstat.duckdb")) as connection:
        connection.execute(
            "update mart.adoption_rate set estimate = $changed where survey = 'industry' and wave = 2022"
            " and domain_type = 'ax_industry' and domain_code = 'AX1' and measure = 'ai_adoption'"
            " and base = 'answered' and unit_weighting = 'unit'",
            {"changed": changed},
        ).fetchall()
    [found] = check()
    assert found == Difference(
        form="duckdb", table="adoption_rate", key=KEY, column="estimate", expected=repr(estimate), got=repr(changed)
    )


def test_a_table_too_few_and_too_many_in_the_database(folder: Path, check: Check) -> None:
    with duckdb.connect(str(folder / "axstat.duckdb")) as connection:
        connection.execute("alter table mart.measure rename to units")
    assert [(each.form, each.table, each.column, each.expected, each.got) for each in check()] == [
        ("duckdb", "measure", FILE, THERE, NOT_THERE),
        ("duckdb", "units", FILE, NOT_THERE, THERE),
    ]


def test_a_cell_of_parquet(folder: Path, check: Check) -> None:
    path = folder / "parquet" / "adoption_rate.parquet"
    rows = pl.read_parquet(path)
    rows.with_columns(pl.when(HERE).then(None).otherwise(pl.col("se")).alias("se")).write_parquet(path)
    [found] = check()
    assert (found.form, found.table, found.key, found.column, found.got) == (
        "parquet",
        "adoption_rate",
        KEY,
        "se",
        None,
    )


@pytest.mark.parametrize(("text", "told"), [("0.5", "0.5"), ("half", "half"), ("", None)])
def test_a_cell_of_csv(folder: Path, check: Check, estimate: float, text: str, told: str | None) -> None:
    path = folder / "csv" / "adoption_rate.csv"
    rows = pl.read_csv(path, infer_schema=False)
    value = pl.lit(text or None, dtype=pl.String)
    here = (
        (pl.col("survey") == "industry") & (pl.col("wave") == "2022") & (pl.col("domain_type") == "ax_industry")
        & (pl.col("domain_code") == "AX1") & (pl.col("measure") == "ai_adoption") & (pl.col("base") == "answered")
        & (pl.col("unit_weighting") == "unit")
    )  # fmt: skip
    rows.with_columns(pl.when(here).then(value).otherwise(pl.col("estimate")).alias("estimate")).write_csv(path)
    [found] = check()
    assert (found.form, found.key, found.column, found.expected, found.got) == (
        "csv",
        KEY,
        "estimate",
        repr(estimate),
        told,
    )


def test_a_row_too_few_and_a_row_too_many(folder: Path, check: Check) -> None:
    path = folder / "csv" / "domain.csv"
    rows = pl.read_csv(path, infer_schema=False)
    first = rows.head(1)
    pl.concat([rows.tail(-1), first.with_columns(pl.lit("AX9").alias("domain_code"))]).write_csv(path)
    found = {(each.column, each.expected, each.got): each.key for each in check()}
    assert set(found) == {(ROW, THERE, NOT_THERE), (ROW, NOT_THERE, THERE)}
    assert "AX9" in found[ROW, NOT_THERE, THERE]


def test_a_cell_of_sdmx(folder: Path, check: Check, estimate: float) -> None:
    path = folder / "sdmx" / "adoption_rate.csv"
    rows = pl.read_csv(path, infer_schema=False)
    here = (
        (pl.col("SURVEY") == "industry") & (pl.col("TIME_PERIOD") == "2022") & (pl.col("DOMAIN_CODE") == "AX1")
        & (pl.col("MEASURE") == "ai_adoption") & (pl.col("BASE") == "answered") & (pl.col("UNIT_WEIGHTING") == "unit")
    )  # fmt: skip
    rows.with_columns(
        pl.when(here).then(pl.lit("0.25")).otherwise(pl.col("OBS_VALUE")).alias("OBS_VALUE"),
        pl.when(here).then(pl.lit("C")).otherwise(pl.col("CONF_STATUS")).alias("CONF_STATUS"),
    ).write_csv(path)
    found = check()
    assert [(each.form, each.key, each.column, each.expected, each.got) for each in found] == [
        ("sdmx", KEY, "estimate", repr(estimate), "0.25"),
        ("sdmx", KEY, "conf_status", "F", "C"),
    ]


def json_cell(cube: Mapping[str, Any], **codes: str) -> int:
    """Number of the cell with these codes, by the rule of JSON-stat: row-major."""
    cell = 0
    for name, size in zip(cube["id"], cube["size"], strict=True):
        cell = cell * size + cube["dimension"][name]["category"]["index"].index(codes[name])
    return cell


def test_a_cell_and_a_status_of_json_stat(folder: Path, check: Check, estimate: float) -> None:
    path = folder / "jsonstat" / "adoption_rate.industry.ax_industry.json"
    cube = json.loads(path.read_text(encoding="utf-8"))
    cell = json_cell(
        cube, wave="2022", domain_code="AX1", measure="ai_adoption", base="answered", unit_weighting="unit",
        figure="estimate",
    )  # fmt: skip
    assert cube["value"][cell] == estimate
    cube["value"][cell] = 0.125
    # The first wave of a new question: its status is told
    assert cube["status"][str(cell)] == "b:F:publish"
    cube["status"][str(cell)] = "A:F:publish"
    path.write_text(json.dumps(cube), encoding="utf-8")
    assert [(each.form, each.key, each.column, each.expected, each.got) for each in check()] == [
        ("jsonstat", KEY, "estimate", repr(estimate), "0.125"),
        ("jsonstat", KEY, "obs_status", "b", "A"),
    ]


@pytest.mark.parametrize("text", ["12.5", "*"])
def test_a_cell_of_kosis(folder: Path, check: Check, text: str) -> None:
    path = folder / "kosis" / "DT_AX_IND_01.csv"
    rows = pl.read_csv(path, infer_schema=False)
    here = (
        (pl.col("분류값ID2") == "AX1") & (pl.col("분류값ID3") == "unit") & (pl.col("수록시점") == "2022")
        & (pl.col("항목ID") == "estimate")
    )  # fmt: skip
    rows.with_columns(pl.when(here).then(pl.lit(text)).otherwise(pl.col("수치값")).alias("수치값")).write_csv(path)
    [found] = check()
    assert (found.form, found.table, found.column) == ("kosis", "DT_AX_IND_01", "estimate")
    assert "domain_code=AX1" in found.key
    assert found.got == (None if text == "*" else text)


def test_a_suppressed_number_that_kosis_prints(folder: Path, check: Check, marts: Mapping[str, pl.DataFrame]) -> None:
    path = folder / "kosis" / "DT_AX_PUB_01.csv"
    rows = pl.read_csv(path, infer_schema=False)
    marked = (pl.col("수치값") == "*") & (pl.col("항목ID") == "estimate")
    place = rows.select((marked.cum_sum() == 1) & marked).to_series()
    assert place.sum() == 1
    rows.with_columns(pl.when(place).then(pl.lit("40")).otherwise(pl.col("수치값")).alias("수치값")).write_csv(path)
    [found] = check()
    assert (found.form, found.expected, found.got) == ("kosis", None, "40")


@pytest.mark.parametrize(
    ("sheet", "part", "domain_type", "domain_code"),
    [
        ("산업 영역별", "industry_domains", "ax_industry", "AX1"),
        ("공공 지표별", "public_measures", "total", "total"),
        ("목표와 거리", "progress", "ax_industry", "AX1"),
    ],
)
def test_a_cell_of_the_workbook(
    folder: Path, check: Check, printed: ReportData, sheet: str, part: str, domain_type: str, domain_code: str
) -> None:
    survey = "public" if part == "public_measures" else "industry"
    [rate] = [rate for rate in printed.rates(survey, domain_type) if rate.domain_code == domain_code]
    path = folder / "axstat.xlsx"
    number = openpyxl.load_workbook(path, read_only=True).sheetnames.index(sheet) + 1
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    there = f"<v>{rate.estimate:.16G}</v>".encode()
    name = f"xl/worksheets/sheet{number}.xml"
    assert parts[name].count(there) == 1
    parts[name] = parts[name].replace(there, b"<v>0.123456789012</v>")
    with zipfile.ZipFile(path, "w") as book:
        for each, content in parts.items():
            book.writestr(each, content)
    [found] = check()
    assert (found.form, found.table, found.column) == ("xlsx", part, "estimate")
    assert (found.expected, found.got) == (repr(rate.estimate), "0.123456789012")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("axstat.duckdb", "duckdb"),
        ("parquet/progress.parquet", "parquet"),
        ("csv/progress.csv", "csv"),
        ("sdmx/progress.csv", "sdmx"),
        ("jsonstat/adoption_rate.public.total.json", "jsonstat"),
        ("kosis/DT_AX_TGT_01.csv", "kosis"),
        ("axstat.xlsx", "xlsx"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_file_that_cannot_be_read_is_a_finding(folder: Path, check: Check, name: str, form: str, damage: str) -> None:
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"\x00nothing of the kind")
    found = check()
    assert found
    assert {each.form for each in found} == {form}
    assert damage == "damaged" or {each.column for each in found} == {FILE}


def test_a_suppressed_number_that_the_workbook_prints(folder: Path, check: Check, printed: ReportData) -> None:
    path = folder / "axstat.xlsx"
    suppressed = next(
        rate for rate in printed.rates("public", "public_sector", weighting="employment") if not rate.is_shown
    )
    book = fastexcel.read_excel(path).load_table("axstat_public_domains", eager=True)
    sheet = openpyxl.load_workbook(path)["공공 영역별"]
    (table,) = sheet.tables.values()
    left, top, _, _ = openpyxl.utils.range_boundaries(table.ref)
    names = [str(cell.value) for cell in sheet[top]]
    assert len(names) == book.num_columns
    row = next(
        number for number in range(top + 1, sheet.max_row + 1)
        if sheet.cell(number, left + 1).value == suppressed.labels["en"]
    )  # fmt: skip
    column = next(place for place, name in enumerate(names) if name.endswith("weighted by employment: Estimate (%)"))
    place = sheet.cell(row, column + 1)
    assert place.value == "[u]"
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    name = f"xl/worksheets/sheet{openpyxl.load_workbook(path, read_only=True).sheetnames.index('공공 영역별') + 1}.xml"
    pattern = rf'<c r="{place.coordinate}"( s="\d+") t="s"><v>\d+</v></c>'.encode()
    parts[name], count = re.subn(pattern, f'<c r="{place.coordinate}"\\1><v>0.4</v></c>'.encode(), parts[name])
    assert count == 1
    with zipfile.ZipFile(path, "w") as packed:
        for each, content in parts.items():
            packed.writestr(each, content)
    [found] = check()
    assert (found.form, found.table, found.column, found.expected, found.got) == (
        "xlsx", "public_domains", "estimate", None, "0.4",
    )  # fmt: skip
    assert f"domain_code={suppressed.domain_code}" in found.key


def test_many_differences_are_counted(folder: Path, check: Check, marts: Mapping[str, pl.DataFrame]) -> None:
    path = folder / "parquet" / "adoption_rate.parquet"
    pl.read_parquet(path).with_columns(pl.col("n") + 1).write_parquet(path)
    found = check()
    assert [each.column for each in found] == ["n"] * MOST + [MORE]
    assert found[-1].got == str(marts["adoption_rate"].height - MOST)


def test_a_column_that_is_missing_or_too_many(folder: Path, check: Check) -> None:
    path = folder / "parquet" / "measure.parquet"
    pl.read_parquet(path).rename({"label_ko": "label"}).write_parquet(path)
    assert [(each.column, each.expected, each.got) for each in check()] == [
        ("label_ko", THERE, NOT_THERE),
        ("label", NOT_THERE, THERE),
    ]


def test_a_confidential_rate_of_one_weighting_leaves_the_other_ones_number_of_respondents(
    tmp_path: Path, library: ContractLibrary
) -> None:
    """The workbook has one n for both weightings; where one of them is withheld, it is that of the other."""
    made_up = made_up_report(wave=2022).marts
    place = (
        (pl.col("survey") == "industry") & (pl.col("domain_type") == "ax_industry") & (pl.col("domain_code") == "AX1")
        & (pl.col("unit_weighting") == "employment")
    )  # fmt: skip
    rates = made_up["adoption_rate"].with_columns(
        pl.when(place).then(pl.lit("C")).otherwise("conf_status").alias("conf_status")
    )
    marts = {
        name: publishable(
            frame.filter(pl.col("wave") <= 2022) if "wave" in frame.columns else frame, library.marts[f"mart.{name}"]
        )
        for name, frame in printable({**made_up, "adoption_rate": rates}).items()
    }
    printed = made_up_report(wave=2022, **marts)
    write_workbook(printed, tmp_path / "axstat.xlsx", template_dir=ANNUAL)
    found = unequal_cells(tmp_path, library, marts, printed, template_dir=ANNUAL)
    assert [str(each) for each in found if each.form == "xlsx"] == []
    hidden = marts["adoption_rate"].filter(place, pl.col("wave") == 2022)
    assert hidden.height == hidden["n"].null_count() == hidden["estimate"].null_count() > 0
