"""Marts: what is added to an estimate on its way out, and the labels."""

from collections.abc import Callable

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary

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
