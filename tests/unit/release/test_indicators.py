"""Indicators made at a release, from tables made up here; expected numbers are counted by hand."""

import datetime
import importlib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.compiler import data_dictionary, polars_schema
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.quality_values import SuppliedValue
from pipelines.errors import AxstatError
from pipelines.release.indicators import (
    FOUND,
    history_indicators,
    indicator_rows,
    missing_indicators,
    own_indicators,
)
from pipelines.release.vintages import Vintage
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import publishable, query_published, write_published


@pytest.fixture(scope="module")
def statements() -> SqlCatalogue:
    return SqlCatalogue(Path(__file__).parents[3] / "sql")


def filled(library: ContractLibrary, name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows of a mart with what a test does not care about filled in."""
    fillers = {"VARCHAR": "-", "INTEGER": 1, "BIGINT": 1, "DOUBLE": 0.5, "BOOLEAN": False}
    table = library.marts[name]
    base = {column.name: fillers[column.type] for column in table.columns}
    return pl.DataFrame([{**base, **row} for row in rows], schema=polars_schema(table))


@pytest.fixture
def marts(library: ContractLibrary) -> dict[str, pl.DataFrame]:
    """Industry in 2022 and 2023: two domains, one of them suppressed in 2023."""
    headline = {"domain_type": "total", "domain_code": "total", "measure": "ai_adoption", "base": "answered",
                "unit_weighting": "unit", "reliability": "publish", "survey": "industry"}  # fmt: skip
    rates = [
        {**headline, "wave": 2022, "comparability_segment": "a", "n": 90, "n_missing": 6, "n_dont_know": 4, "cv": 0.05},
        {**headline, "wave": 2023, "comparability_segment": "a", "n": 80, "n_missing": 0, "n_dont_know": 20,
         "cv": None},
        {**headline, "wave": 2022, "comparability_segment": "a", "domain_type": "region", "domain_code": "r"},
        {**headline, "wave": 2023, "comparability_segment": "a", "domain_type": "region", "domain_code": "r",
         "reliability": "suppress"},
    ]  # fmt: skip
    change = {**headline, "wave": 2023, "wave_before": 2022, "n_common": 60, "n_after": 80}
    return {
        "adoption_rate": filled(library, "mart.adoption_rate", rates),
        "change": filled(library, "mart.change", [change]),
        "dictionary": publishable(data_dictionary(library), library.marts["mart.dictionary"]),
    }


def values(table: pl.DataFrame, wave: int) -> dict[str, tuple[float | None, str | None]]:
    rows = table.filter(wave=wave).select("indicator", "value", "reason").iter_rows()
    return {indicator: (value, reason) for indicator, value, reason in rows}


def test_queries_of_the_release_by_hand(
    marts: dict[str, pl.DataFrame], library: ContractLibrary, statements: SqlCatalogue
) -> None:
    table = own_indicators(marts, library=library, statements=statements)
    before, now = values(table, 2022), values(table, 2023)
    # 10 of 100 and 20 of 100 did not say
    assert (before["A5"], now["A5"]) == ((0.1, None), (0.2, None))
    assert (before["A1"], now["A1"]) == ((0.05, None), (None, "estimate_zero"))
    # both cells, then one of two
    assert (before["R1"], now["R1"]) == ((1.0, None), (0.5, None))
    assert (before["CC2"], now["CC2"]) == ((1.0, None), (2.0, None))
    # 60 of 80 answered in both years
    assert (before["PANEL"], now["PANEL"]) == ((None, "no_comparable_wave"), (0.75, None))
    assert now["AC3"] == (1.0, None)
    assert now["CC1"] == (None, "not_applicable")


def test_metadata_that_are_missing_lower_their_completeness(
    marts: dict[str, pl.DataFrame], library: ContractLibrary, statements: SqlCatalogue
) -> None:
    """Four columns, five things each: one without Korean label, one without unit."""
    dictionary = marts["dictionary"].head(4).with_row_index("n")
    dictionary = dictionary.with_columns(
        pl.when(pl.col("n") != 0).then("label_ko").otherwise(pl.lit("")).alias("label_ko"),
        pl.when(pl.col("n") != 1).then("unit").alias("unit"),
    ).drop("n")
    table = own_indicators({**marts, "dictionary": dictionary}, library=library, statements=statements)
    assert values(table, 2023)["AC3"] == (18 / 20, None)


def test_a_supplied_value_takes_the_place_of_its_reason(
    marts: dict[str, pl.DataFrame], library: ContractLibrary, statements: SqlCatalogue
) -> None:
    entry = SuppliedValue(indicator="AC1", wave=2023, value=1200.0, source="web server")
    given = library.quality_values.model_copy(update={"values": (entry,)})
    table = own_indicators(marts, library=replace(library, quality_values=given), statements=statements)
    assert values(table, 2023)["AC1"] == (1200.0, None)
    assert values(table, 2022)["AC1"] == (None, "not_supplied")
    [row] = table.filter(indicator="AC1", wave=2022).to_dicts()
    assert row["reason_en"] == library.classifications["indicator_reasons"].item("not_supplied").label_en


def test_a_query_that_is_published_gives_the_published_value(
    marts: dict[str, pl.DataFrame], library: ContractLibrary, statements: SqlCatalogue, tmp_path: Path
) -> None:
    """What stands in `source` is put to the published file as an analyst would."""
    table = own_indicators(marts, library=library, statements=statements)
    written = {f"mart.{name}": frame for name, frame in marts.items()}
    write_published(written, tmp_path / "axstat.duckdb", library, synthetic=True)
    queries = table.filter(source_kind="query")
    assert queries["indicator"].n_unique() == 6
    for indicator, source in queries.select("indicator", "source").unique().iter_rows():
        answer = query_published(tmp_path / "axstat.duckdb", source)
        for row in queries.filter(indicator=indicator).iter_rows(named=True):
            found = answer.filter(survey=row["survey"], wave=row["wave"])["value"].to_list()
            assert found == ([] if indicator == "PANEL" and row["value"] is None else [row["value"]]), indicator


def test_every_function_named_as_a_source_is_there(library: ContractLibrary) -> None:
    items = library.classifications["quality_indicators"].items
    named = {item.properties["source"] for item in items if item.properties["by"] == "function"}
    assert len(named) > 2
    for source in named:
        module, function = source.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), function)), source


def revision(wave: int, vintage: str, order: int, estimate: float, previous: str | None) -> dict[str, object]:
    first = {2022: 0.30, 2023: 0.40}[wave]
    return {
        "survey": "industry", "wave": wave, "domain_type": "total", "domain_code": "total", "vintage": vintage,
        "publication_order": order, "is_headline": True, "estimate": estimate, "previous_vintage": previous,
        "change_from_first_pp": None if previous is None else 100 * (estimate - first),
    }  # fmt: skip


def test_sizes_of_revisions_by_hand(library: ContractLibrary, statements: SqlCatalogue) -> None:
    """2022 went from 30 to 33 to 31 %, 2023 from 40 to 38 %: +1 and -2, so MR -0.5, MAR 1.5, RMAR 3/69."""
    revisions = filled(
        library,
        "mart.revision",
        [
            revision(2022, "2022.1", 1, 0.30, None),
            revision(2022, "2023.1", 2, 0.33, "2022.1"),
            revision(2022, "2023.2", 3, 0.31, "2023.1"),
            revision(2023, "2023.1", 2, 0.40, None),
            revision(2023, "2023.2", 3, 0.38, "2023.1"),
        ],
    )
    deliveries = pl.DataFrame(
        [("industry", wave, "industry_response", "current", datetime.date(wave, 11, 28)) for wave in (2022, 2023)],
        schema=["survey", "wave", "contract", "status", "collection_end"],
        orient="row",
    )
    made = history_indicators(
        revisions,
        deliveries,
        vintage=Vintage(2023, 2),
        releases=[Vintage(2022, 1), Vintage(2023, 1)],
        library=library,
        statements=statements,
    )
    now = values(made, 2023)
    assert now["A6_MR"][0] == pytest.approx(-0.5)
    assert now["A6_MAR"][0] == pytest.approx(1.5)
    assert now["A6_RMAR"][0] == pytest.approx(3 / 69)
    # up to 2022 there is one figure, from 30 to 31 %
    assert values(made, 2022)["A6_MR"][0] == pytest.approx(1.0)
    # 28 November to 20 December 2023 by the calendar; when 2023.2 goes out is not known
    assert (now["TP1"], now["TP2"]) == ((22.0, None), (None, "not_out_yet"))
    first = history_indicators(
        revisions.filter(vintage="2022.1"),
        deliveries,
        vintage=Vintage(2022, 1),
        releases=[],
        library=library,
        statements=statements,
    )
    assert values(first, 2022)["A6_MR"] == (None, "printed_once")


def everything(library: ContractLibrary) -> pl.DataFrame:
    items = library.classifications["quality_indicators"].items
    return pl.DataFrame(
        [
            (survey, 2025, item.code, "total", "total", None if item.code == "CC1" else 0.5,
             "not_applicable" if item.code == "CC1" else None)
            for survey in ("industry", "public")
            for item in items
        ],
        schema=FOUND,
        orient="row",
    )  # fmt: skip


PRINTED = pl.DataFrame({"survey": ["industry", "public"], "wave": [2025, 2025]}, schema_overrides={"wave": pl.Int32})


def test_nothing_is_missing_where_each_has_a_value_or_a_reason(library: ContractLibrary) -> None:
    assert missing_indicators(everything(library), printed=PRINTED, library=library).is_empty()


def test_each_way_of_missing_is_found(library: ContractLibrary) -> None:
    planted = {("industry", "R1"): "no row", ("public", "A6_MAR"): "neither value nor reason",
               ("public", "AC2"): "both value and reason", ("industry", "TP1"): "value is not finite"}  # fmt: skip
    here = {problem: (pl.col("survey") == survey) & (pl.col("indicator") == code)
            for (survey, code), problem in planted.items()}  # fmt: skip
    table = everything(library).filter(~here["no row"]).with_columns(
        pl.when(here["neither value nor reason"]).then(None)
        .when(here["value is not finite"]).then(float("nan")).otherwise("value").alias("value"),
        pl.when(here["both value and reason"]).then(pl.lit("not_supplied")).otherwise("reason").alias("reason"),
    )  # fmt: skip
    found = missing_indicators(table, printed=PRINTED, library=library)
    assert {(row["survey"], row["indicator"]): row["problem"] for row in found.iter_rows(named=True)} == planted


def test_a_domain_does_not_stand_in_for_the_whole_nor_another_wave(library: ContractLibrary) -> None:
    listed = len(library.classifications["quality_indicators"].items)
    of_region = everything(library).with_columns(pl.lit("region").alias("domain_type"))
    of_2024 = everything(library).with_columns(pl.lit(2024, pl.Int32).alias("wave"))
    for table in (of_region, of_2024):
        found = missing_indicators(table, printed=PRINTED, library=library)
        assert found.height == 2 * listed
        assert set(found["problem"]) == {"no row"}


def test_codes_without_a_list_are_refused(library: ContractLibrary, statements: SqlCatalogue) -> None:
    for change in (pl.lit("Z9").alias("indicator"), pl.lit("because").alias("reason")):
        with pytest.raises(AxstatError, match="unknown_code"):
            indicator_rows(everything(library).with_columns(change), library=library, statements=statements)
