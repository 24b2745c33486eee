"""Marts: what is added to an estimate on its way out, and the labels."""

import re
from collections.abc import Callable

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.warehouse.catalogue import SqlCatalogue

Run = Callable[..., pl.DataFrame]


@pytest.mark.parametrize(
    ("wave", "version", "tech_list", "segment", "obs_status"),
    [
        # the first wave of all has nothing before it to break with
        (2021, "yn-2019", "none", "industry-yn-2019-none", "A"),
        (2022, "list-2022", "1", "industry-list-2022-1", "b"),
        (2025, "list-2022", "1", "industry-list-2022-1", "A"),
    ],
)
def test_a_rate_gets_its_definition_and_the_break_of_its_series(
    run: Run, wave: int, version: str, tech_list: str, segment: str, obs_status: str
) -> None:
    estimate = {
        "domain_type": "ax_industry",
        "domain_code": "AX1",
        "measure": "ai_adoption",
        "base": "answered",
        "unit_weighting": "unit",
        "n": 40,
        "n_missing": 3,
        "n_dont_know": 2,
        "population": 100.0,
        "adopters": 30.0,
        "adopters_se": 5.0,
        "estimate": 0.3,
        "se": 0.05,
        "ci_low": 0.21,
        "ci_high": 0.41,
        "ci_level": 0.95,
        "df": 37.0,
        "deff": 1.2,
        "n_effective": 33.3,
        "cv": 0.1667,
        "reliability": "caution",
        "reliability_reason": "why",
        "variance_method": "taylor",
    }
    found = run(
        "mart.adoption_rate",
        wave=wave,
        estimates__adoption_rate=[estimate, {**estimate, "wave": wave - 1}],
    )
    [row] = found.to_dicts()
    assert row == {
        "survey": "industry",
        "wave": wave,
        **estimate,
        "definition_id": f"ai_adoption@{version}",
        "question_version": version,
        "tech_list_version": tech_list,
        "comparability_segment": segment,
        "obs_status": obs_status,
        "conf_status": "F",
    }


def test_progress_goes_out_as_it_was_estimated(run: Run) -> None:
    given = {
        "survey": "public",
        "domain_type": "total",
        "domain_code": "total",
        "measure": "ai_adoption",
        "unit_weighting": "unit",
        "comparability_segment": "public-list-2022-1",
        "target": 0.95,
        "target_year": 2030,
        "target_scope": "national",
        "estimate": 0.6,
        "gap_pp": 35.0,
        "status": "insufficient",
        "status_reason": "why",
    }
    found = run("mart.progress", estimates__progress=[given, {**given, "wave": 2024}])
    [row] = found.to_dicts()
    assert row == dict.fromkeys(row) | {"wave": 2025} | given


def test_domains_are_those_of_the_surveys_with_both_labels(run: Run, library: ContractLibrary) -> None:
    found = run("mart.domain")
    domains = {row[:3]: row[3:] for row in found.iter_rows()}
    assert len(domains) == found.height
    # counts of the code lists: 8 industries, 3 size classes, 17 regions, 18 sectors, 5 institution types
    assert dict(
        found.group_by("survey", "domain_type")
        .len()
        .select(pl.concat_str("survey", pl.lit(" "), "domain_type"), "len")
        .iter_rows()
    ) == {
        "industry total": 1,
        "industry ax_total": 1,
        "industry ax_industry": 8,
        "industry size_class": 3,
        "industry region": 17,
        "industry ax_industry*size_class": 24,
        "industry ax_industry*region": 136,
        "public total": 1,
        "public public_sector": 18,
        "public public_field": 18,
        "public institution_type": 5,
        "public region": 17,
    }
    industries = library.classifications["ax_industries"]
    sizes = library.classifications["size_classes"]
    first, small = industries.item("AX1"), sizes.item("10-49")
    assert domains["industry", "ax_industry", "AX1"] == (
        first.label_ko,
        first.label_en,
        first.sort_order,
        first.named_in_source,
        first.source,
    )
    assert domains["industry", "ax_industry*size_class", "AX1*10-49"][:2] == (
        f"{first.label_ko} × {small.label_ko}",
        f"{first.label_en} × {small.label_en}",
    )
    assert domains["industry", "total", "total"][:2] == ("전체", "Total")
    assert ("industry", "ax_total", "ax_total") in domains


def test_domains_of_one_type_have_an_order_of_their_own(run: Run) -> None:
    found = run("mart.domain")
    assert not found.select("survey", "domain_type", "sort_order").is_duplicated().any()
    crossed = found.filter(pl.col("domain_type") == "ax_industry*size_class").sort("sort_order")
    assert crossed["domain_code"].to_list()[:4] == ["AX1*10-49", "AX1*50-249", "AX1*250+", "AX2*10-49"]


FIGURE = {
    "series": "office",
    "measure": "ai_adoption",
    "geo": "KR",
    "industry": "total",
    "size_class": "total",
    "other_group": "total",
    "ref_year": 2024,
    "vintage": "2025",
    "is_latest": True,
    "value": 0.3,
    "unit": "share",
    "obs_status": "A",
    "compared_with": "industry",
    "statistical_unit": "enterprise",
    "min_employees": 10,
    "question_form": "list",
    "sample_kind": "probability",
}
RATE = {
    "wave": 2024,
    "domain_type": "total",
    "domain_code": "total",
    "measure": "ai_adoption",
    "base": "answered",
    "unit_weighting": "unit",
    "estimate": 0.35,
    "se": 0.01,
    "reliability": "publish",
}
RATES = [
    RATE,
    {**RATE, "base": "incl_dont_know", "estimate": 0.1},
    {**RATE, "unit_weighting": "employment", "estimate": 0.2},
    {**RATE, "wave": 2023, "estimate": 0.25},
    {**RATE, "domain_type": "size_class", "domain_code": "10-49", "estimate": 0.15},
    {**RATE, "domain_type": "ax_industry", "domain_code": "AX2", "estimate": 0.55},
    {**RATE, "domain_type": "ax_industry", "domain_code": "AX6", "estimate": 0.65},
]


@pytest.mark.parametrize(
    ("figure", "estimate", "differs_in"),
    [
        ({}, 0.35, None),
        ({"ref_year": 2023}, 0.25, None),
        ({"size_class": "10-49"}, 0.15, None),
        # section K is the whole of AX2; of J only a part is in AX6
        ({"industry": "K"}, 0.55, None),
        ({"industry": "J"}, None, "no_domain"),
        ({"industry": "K", "size_class": "10-49"}, None, "no_domain"),
        ({"other_group": "legal form"}, None, "no_domain"),
        ({"ref_year": 2019}, None, "no_wave"),
        ({"geo": "EU27_2020"}, 0.35, "area"),
        ({"statistical_unit": "plan"}, 0.35, "unit"),
        ({"min_employees": 50}, 0.35, "size_cutoff"),
        ({"min_employees": None}, 0.35, "size_cutoff_not_stated"),
        ({"question_form": "one_question"}, 0.35, "question"),
        ({"question_form": "not_stated", "sample_kind": "not_stated"}, 0.35, "question_not_stated;sample_not_stated"),
        ({"sample_kind": "not_probability"}, 0.35, "not_probability"),
    ],
)
def test_an_outside_figure_stands_beside_ours_of_its_year_and_domain(
    run: Run, figure: dict[str, object], estimate: float | None, differs_in: str | None
) -> None:
    [row] = run("mart.benchmark", core__benchmark=[FIGURE | figure], mart__adoption_rate=RATES).to_dicts()
    assert (row["estimate"], row["differs_in"]) == (estimate, differs_in)
    assert row["difference_pp"] == (None if estimate is None else pytest.approx(100 * (estimate - 0.3)))
    assert (row["survey"], row["wave"], row["value"]) == ("industry", 2025, 0.3)


@pytest.mark.parametrize(
    "other",
    [
        {"is_latest": False},
        {"unit": "count"},
        {"measure": "ai_no_plan"},
        {"compared_with": None},
        {"ref_year": 2026},
    ],
)
def test_what_measures_nothing_of_the_like_is_left_out(run: Run, other: dict[str, object]) -> None:
    assert run("mart.benchmark", core__benchmark=[FIGURE | other], mart__adoption_rate=RATES).is_empty()


def test_every_difference_has_its_words(library: ContractLibrary, catalogue: SqlCatalogue) -> None:
    listed = catalogue["mart.benchmark"].sql.split("concat_ws")[1]
    said = set(re.findall(r"then\s+'([a-z_]+)'", listed))
    assert said == {item.code for item in library.classifications["benchmark_differences"].items}
