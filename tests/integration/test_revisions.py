"""A wave is corrected after all were released: what the later releases say of it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.orchestration.runs import run_waves
from pipelines.release.indicators import missing_indicators
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.published import query_published

pytestmark = [pytest.mark.xdist_group("country"), pytest.mark.slow]


@pytest.fixture(scope="module")
def corrected(country, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A copy of the country to which the contractor sends the enterprises of 2021 again, without forty of the rows."""
    home = tmp_path_factory.mktemp("corrected") / "home"
    shutil.copytree(country.settings.home, home, symlinks=True)
    settings = load_settings({"AXSTAT_HOME": str(home)})
    first = settings.deliveries_dir / "industry-2021"
    manifest = json.loads((first / "manifest.json").read_text(encoding="utf-8"))
    [entry] = [one for one in manifest["files"] if one["contract"] == "industry_response"]
    lines = (first / entry["file"]).read_bytes().splitlines(keepends=True)[:-40]
    second = settings.deliveries_dir / "industry-2021-2"
    second.mkdir()
    (second / entry["file"]).write_bytes(b"".join(lines))
    entry |= {"sha256": hashlib.sha256(b"".join(lines)).hexdigest(), "rows": len(lines) - 1}
    manifest |= {"delivery": second.name, "sequence": 2, "files": [entry]}
    (second / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return settings


@pytest.fixture(scope="module")
def releases(corrected: Settings) -> list[str]:
    """The releases that the correction made."""
    return [one.release for one in run_waves(corrected, None, on_event=lambda text, *, finished: None) if one.new]


def mart(settings: Settings, release: str, name: str) -> pl.DataFrame:
    return pl.read_parquet(settings.published_dir / release / "parquet" / f"{name}.parquet")


def test_the_wave_and_all_after_it_are_released_again_once(
    corrected: Settings, releases: list[str], rerun: Callable
) -> None:
    assert releases == ["2021.2", "2022.2", "2023.2"]
    assert not any(one.new for one in rerun(corrected, None))


def test_the_triangle_tells_when_the_figure_changed_and_why(corrected: Settings, releases: list[str]) -> None:
    table = mart(corrected, "2023.2", "revision").filter("is_headline", survey="industry", wave=2021)
    ordered = table.sort("publication_order")
    assert ordered["vintage"].to_list() == ["2021.1", "2022.1", "2023.1", *releases]
    assert ordered["publication_order"].to_list() == [1, 2, 3, 4, 5, 6]
    assert ordered["cause"].to_list() == ["first", "none", "none", "data", "none", "none"]
    estimates = {
        release: mart(corrected, release, "adoption_rate").filter(
            survey="industry", wave=2021, domain_type="total", measure="ai_adoption", base="answered",
            unit_weighting="unit",
        )["estimate"].item()
        for release in ("2021.1", "2021.2")
    }  # fmt: skip
    assert estimates["2021.1"] != estimates["2021.2"]
    moved = ordered.filter(vintage="2021.2")["change_pp"].item()
    assert moved == pytest.approx(100 * (estimates["2021.2"] - estimates["2021.1"]), rel=1e-9)
    # The other survey and the other waves kept their figures
    others = mart(corrected, "2023.2", "revision").filter((pl.col("survey") != "industry") | (pl.col("wave") != 2021))
    assert set(others["kind"]) == {"first", "unchanged"}


def test_the_average_revision_is_that_of_the_triangle(corrected: Settings, releases: list[str]) -> None:
    """One of three figures of enterprises moved."""
    moved = mart(corrected, "2023.2", "revision").filter("is_headline", survey="industry", wave=2021, vintage="2023.2")
    change = moved["change_from_first_pp"].item()
    indicators = mart(corrected, releases[-1], "quality_indicator").filter(wave=2023)
    found = dict(indicators.filter(survey="industry").select("indicator", "value").iter_rows())
    assert found["A6_MR"] == pytest.approx(change / 3, rel=1e-9)
    assert found["A6_MAR"] == pytest.approx(abs(change) / 3, rel=1e-9)
    assert dict(indicators.filter(survey="public").select("indicator", "value").iter_rows())["A6_MAR"] == 0.0


def test_every_release_from_then_on_tells_the_change_at_its_top(corrected: Settings, releases: list[str]) -> None:
    for release, before in zip(releases, ("2021.1", "2022.1", "2023.1"), strict=True):
        folder = corrected.published_dir / release
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["corrections"]
        [english], [korean] = told["en"], told["ko"]
        assert f"Release {before} had" in english
        assert f"판 {before}에는" in korean
        page = (folder / "report.en.html").read_text(encoding="utf-8")
        assert page.index('id="corrections"') < page.index('class="headlines"')
    for release in ("2021.1", "2022.1", "2023.1"):
        manifest = json.loads((corrected.published_dir / release / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["corrections"] == {"ko": [], "en": []}


def test_no_release_misses_an_indicator_and_each_query_gives_its_value(
    corrected: Settings, country, releases: list[str]
) -> None:
    for release in ("2021.1", *releases):
        indicators = mart(corrected, release, "quality_indicator")
        printed = mart(corrected, release, "adoption_rate")
        assert missing_indicators(indicators, printed=printed, library=country.library).is_empty(), release
    queries = indicators.filter(pl.col("source_kind") == "query", pl.col("value").is_not_null())
    for (indicator,), rows in queries.partition_by("indicator", as_dict=True).items():
        answer = query_published(corrected.published_dir / release / "axstat.duckdb", rows["source"][0])
        both = rows.join(answer, on=["survey", "wave"], how="inner", suffix="_asked")
        assert both.height == rows.height, indicator
        # published values are rounded to twelve digits
        assert both["value"].to_list() == pytest.approx(both["value_asked"].to_list(), rel=1e-11), indicator


def test_the_workbook_has_both_tables_of_revisions(corrected: Settings, releases: list[str]) -> None:
    file: Path = corrected.published_dir / releases[-1] / "axstat.xlsx"
    sheet = pl.read_excel(file, sheet_name="바뀐 대표 추정값", read_options={"header_row": None})
    assert any("2021.2" in str(cell) for cell in sheet.rows()[-1])
    assert pl.read_excel(file, sheet_name="수정 삼각표", read_options={"header_row": None}).height >= 6
