"""Each check names the row that breaks it and leaves the sound one alone."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipelines.warehouse.catalogue import SqlCatalogue

Run = Callable[..., pl.DataFrame]


def rate(**changes: Any) -> dict[str, Any]:
    return {
        "domain_type": "total",
        "domain_code": "total",
        "measure": "ai_adoption",
        "base": "answered",
        "unit_weighting": "unit",
        "comparability_segment": "industry-list-2022-1",
        "n": 50,
        "population": 100.0,
        "adopters": 30.0,
        "estimate": 0.3,
        "se": 0.05,
        "ci_low": 0.2,
        "ci_high": 0.4,
        "df": 40.0,
        "reliability": "publish",
    } | changes


def progress(**changes: Any) -> dict[str, Any]:
    return {
        "domain_type": "total",
        "domain_code": "total",
        "measure": "ai_adoption",
        "unit_weighting": "unit",
        "comparability_segment": "industry-list-2022-1",
        "target": 0.7,
        "estimate": 0.3,
    } | changes


def change(**changes: Any) -> dict[str, Any]:
    return {
        "wave_before": 2024,
        "domain_type": "total",
        "domain_code": "total",
        "measure": "ai_adoption",
        "unit_weighting": "unit",
        "base": "answered",
        "comparability_segment": "industry-list-2022-1",
        "estimate_before": 0.3,
        "estimate_after": 0.3,
    } | changes


def area(**changes: Any) -> dict[str, Any]:
    """Half of the whole, at its rate."""
    return {
        "domain_type": "public_sector",
        "measure": "ai_adoption",
        "unit_weighting": "unit",
        "base": "answered",
        "estimate": 0.3,
        "benchmark_weight": 0.5,
        "benchmark_factor": 1.01,
    } | changes


ENGINES = [
    {"domain_code": code, "status": status}
    for code, status in (("sound", "pass"), ("empty", "none"), ("headline", "stop"), ("domain", "warn"))
]

# check -> tables with one sound row and one (or more) that break it; what identifies the broken ones
CASES: dict[str, tuple[dict[str, list[dict[str, Any]]], str, list[Any]]] = {
    "duplicate_units": (
        {
            "core__frame": [{"unit_id": "a"}, {"unit_id": "b"}, {"unit_id": "b"}],
            "core__units": [{"unit_id": "b"}],
        },
        "unit_id",
        ["b"],
    ),
    "answers_without_frame": (
        {
            "staging__industry_response": [{"unit_id": "a"}, {"unit_id": "b"}],
            "core__frame": [{"unit_id": "a"}, {"unit_id": "b", "wave": 2024}],
        },
        "unit_id",
        ["b"],
    ),
    "answers_without_sample": (
        {
            "staging__industry_response": [{"unit_id": "a"}, {"unit_id": "b"}],
            "core__sample": [{"unit_id": "a"}],
        },
        "unit_id",
        ["b"],
    ),
    "answers_against_disposition": (
        {
            "core__sample": [
                {"unit_id": "a", "answered": True, "status": "respondent"},
                {"unit_id": "b", "answered": True, "status": "out_of_scope"},
            ]
        },
        "unit_id",
        ["b"],
    ),
    "respondents_without_answers": (
        {
            "core__sample": [
                {"unit_id": "a", "answered": True, "disposition_group": "respondent"},
                {"unit_id": "b", "answered": False, "disposition_group": "respondent"},
                {"unit_id": "c", "answered": False, "disposition_group": "out_of_scope"},
            ]
        },
        "unit_id",
        ["b"],
    ),
    "unclassified_frame_units": (
        {
            "core__frame": [
                {"unit_id": "a", "ksic_group": "A", "size_class": "10-49"},
                {"unit_id": "b", "ksic_group": None, "size_class": "10-49"},
                {"unit_id": "c", "main_sector": "P01", "institution_type": "central"},
            ]
        },
        "unit_id",
        ["b"],
    ),
    "inclusion_probabilities": (
        {
            "core__sample": [
                {"unit_id": "a", "inclusion_probability": 0.5},
                {"unit_id": "b", "inclusion_probability": 0.0},
                {"unit_id": "c", "inclusion_probability": 1.5},
                {"unit_id": "d", "inclusion_probability": 0.5, "take_all": True},
                {"unit_id": "e", "inclusion_probability": 1.0, "take_all": True},
            ]
        },
        "unit_id",
        ["b", "c", "d"],
    ),
    "strata_disagree": (
        {
            "core__sample": [
                {"unit_id": "a", "selection_stratum": "A/10-49/11"},
                {"unit_id": "b", "selection_stratum": "A/10-49/11"},
            ],
            "core__frame": [
                {"unit_id": "a", "selection_stratum": "A/10-49/11"},
                {"unit_id": "b", "selection_stratum": "A/10-49/21"},
            ],
        },
        "unit_id",
        ["b"],
    ),
    "stratum_counts": (
        {
            "core__sample": [
                {"unit_id": "a", "selection_stratum": "s", "on_frame": True},
                {"unit_id": "left the frame", "selection_stratum": "s", "on_frame": False},
                {"unit_id": "b", "selection_stratum": "too many", "on_frame": True},
            ],
            "core__frame": [
                {"unit_id": "a", "selection_stratum": "s"},
                {"unit_id": "c", "selection_stratum": "mixed", "take_all": True},
                {"unit_id": "d", "selection_stratum": "mixed", "take_all": False},
            ],
        },
        "selection_stratum",
        ["mixed", "too many"],
    ),
    "measure_values": (
        {
            "core__unit_measure": [
                {
                    "unit_id": "a",
                    "field": "",
                    "measure": "tech_ml",
                    "value": 1.0,
                    "answer_status": "answered",
                },
                {
                    "unit_id": "a",
                    "field": "",
                    "measure": "tech_rpa",
                    "value": None,
                    "answer_status": "refused",
                },
                {
                    "unit_id": "b",
                    "field": "",
                    "measure": "tech_ml",
                    "value": None,
                    "answer_status": "answered",
                },
                {"unit_id": "c", "field": "", "measure": "tech_ml", "value": 1.0, "answer_status": "refused"},
                {
                    "unit_id": "d",
                    "field": "",
                    "measure": "tech_ml",
                    "value": 0.5,
                    "answer_status": "answered",
                },
                *(
                    {
                        "unit_id": unit,
                        "field": "",
                        "measure": name,
                        "value": value,
                        "answer_status": "answered",
                    }
                    for unit, name, value in (
                        ("sound", "ai_adoption", 1.0),
                        ("sound", "stage_deployed", 1.0),
                        ("sound", "stage_none", 0.0),
                        ("two stages", "ai_adoption", 1.0),
                        ("two stages", "stage_deployed", 1.0),
                        ("two stages", "stage_none", 1.0),
                        ("not adopted", "ai_adoption", 0.0),
                        ("not adopted", "stage_deployed", 1.0),
                    )
                ),
            ]
        },
        "unit_id",
        ["b", "c", "d", "not adopted", "two stages"],
    ),
    "fields_not_on_frame": (
        {
            "staging__public_response": [{"unit_id": "a", "field_P01": "1", "field_P02": "2"}],
            "core__frame_field": [{"unit_id": "a", "field": "P01"}],
        },
        "field",
        ["P02"],
    ),
    "row_balance": (
        {
            "meta__row_balance": [
                {
                    "contract": "sound",
                    "rows_in": 10,
                    "core": 5,
                    "quarantined": 3,
                    "rejected": 0,
                    "superseded": 2,
                },
                {"contract": "one lost", "rows_in": 10, "core": 9},
            ]
        },
        "contract",
        ["one lost"],
    ),
    "question_version": (
        {
            "meta__delivery_file": [
                {
                    "delivery": name,
                    "question_version": version,
                    "tech_list_version": tech_list,
                    "status": status,
                }
                for name, version, tech_list, status in (
                    ("sound", "list-2022", "1", "current"),
                    ("older question", "yn-2019", "none", "current"),
                    ("other list", "list-2022", "2", "current"),
                    ("replaced", "yn-2019", "none", "superseded"),
                )
            ]
        },
        "delivery",
        ["older question", "other list"],
    ),
    "adoption_rates": (
        {
            "mart__adoption_rate": [
                rate(),
                rate(
                    domain_code="suppressed",
                    estimate=None,
                    se=None,
                    n=0,
                    reliability="suppress",
                    reliability_reason="no respondent",
                ),
                rate(domain_code="above 1", estimate=1.2, ci_high=1.3),
                rate(domain_code="no number", estimate=float("nan")),
                rate(domain_code="no se", se=None),
                rate(domain_code="no df", df=None),
                rate(domain_code="outside its interval", ci_high=0.25),
                rate(domain_code="too many adopters", adopters=101.0),
                rate(domain_code="no reason", reliability="caution"),
                rate(domain_code="gone", estimate=None),
            ]
        },
        "domain_code",
        [
            "above 1",
            "gone",
            "no df",
            "no number",
            "no reason",
            "no se",
            "outside its interval",
            "too many adopters",
        ],
    ),
    "missing_domains": (
        {
            "mart__domain": [
                {"domain_type": "ax_industry", "domain_code": "AX1"},
                {"domain_type": "ax_industry", "domain_code": "AX2"},
                {"domain_type": "ax_industry*region", "domain_code": "AX1*11"},
            ],
            "mart__adoption_rate": [
                rate(domain_type="ax_industry", domain_code="AX1"),
                rate(domain_type="ax_industry", domain_code="AX2", unit_weighting="employment"),
                rate(domain_type="ax_industry", domain_code="AX2", wave=2024),
            ],
        },
        "domain_code",
        ["AX2"],
    ),
    "unlabelled_domains": (
        {
            "mart__domain": [{"domain_type": "total", "domain_code": "total"}],
            "mart__adoption_rate": [
                rate(),
                rate(domain_code="unknown"),
                rate(measure="tech_unknown"),
            ],
        },
        "measure",
        ["ai_adoption", "tech_unknown"],
    ),
    "engines_disagree": ({"estimates__replicate_rate": ENGINES}, "domain_code", ["headline"]),
    "engines_differ": ({"estimates__replicate_rate": ENGINES}, "domain_code", ["domain"]),
    "progress": (
        {
            "mart__adoption_rate": [
                rate(),
                rate(domain_code="another estimate"),
                rate(domain_code="another segment"),
                rate(domain_code="no reason", estimate=None),
            ],
            "mart__progress": [
                progress(),
                progress(domain_code="another estimate", estimate=0.31),
                progress(domain_code="another segment", comparability_segment="industry-yn-2019-none"),
                progress(domain_code="no rate"),
                progress(domain_code="no reason", estimate=None),
            ],
        },
        "domain_code",
        ["another estimate", "another segment", "no rate", "no reason"],
    ),
    "changes": (
        {
            "mart__adoption_rate": [
                rate(wave=wave, domain_code=code, **given)
                for code, given_before, given in (
                    ("total", {}, {}),
                    ("another segment", {"comparability_segment": "industry-yn-2019-none"}, {}),
                    ("another estimate", {}, {"estimate": 0.31}),
                    ("no rate before", {"estimate": None}, {}),
                )
                for wave, given in ((2024, given_before), (2025, given))
            ],
            "mart__change": [
                change(),
                change(domain_code="another segment"),
                change(domain_code="another estimate"),
                change(domain_code="no rate before"),
                # a domain that one wave does not have
                change(domain_code="new", estimate_before=None, estimate_after=None),
            ],
        },
        "domain_code",
        ["another estimate", "another segment", "no rate before"],
    ),
    "small_areas": (
        {
            "mart__adoption_rate": [rate(measure=measure) for measure in ("ai_adoption", "off", "direct")],
            "mart__small_area": [
                area(domain_code="P01"),
                area(domain_code="P02"),
                area(domain_code="P01", measure="off"),
                area(domain_code="P02", measure="off", estimate=0.31),
                # without a model there is nothing to add up
                area(domain_code="P01", measure="direct", estimate=0.9, benchmark_factor=None),
            ],
        },
        "measure",
        ["off"],
    ),
    "weights": (
        {
            "core__frame": [{"unit_id": unit} for unit in "abcd"],
            "core__sample": [
                {"unit_id": "a", "status": "respondent"},
                {"unit_id": "b", "status": "out_of_scope"},
                {"unit_id": "c", "status": "respondent"},
                {"unit_id": "d", "status": "eligible_nonrespondent"},
            ],
            "core__weights": [
                {"unit_id": "a", "status": "respondent", "weight": 1.5},
                {"unit_id": "b", "status": "respondent", "weight": 1.5},
                {"unit_id": "d", "status": "respondent", "weight": 1.0},
            ],
        },
        "unit_id",
        ["b", "c", "d"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_check_names_what_breaks_it(run: Run, name: str) -> None:
    tables, column, broken = CASES[name]
    survey = "public" if any("public" in table for table in tables) else "industry"
    found = run(f"checks.{name}", survey=survey, **tables)
    assert sorted(found[column].unique()) == broken
    assert found["what_to_do"].null_count() == 0


def test_every_check_has_a_case(catalogue: SqlCatalogue) -> None:
    assert sorted(CASES) == sorted(statement.table for statement in catalogue.layer("checks"))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), 2.0])
def test_weights_must_be_positive_and_meet_the_frame(run: Run, weight: float) -> None:
    found = run(
        "checks.weights",
        core__frame=[{"unit_id": "a"}],
        core__sample=[{"unit_id": "a", "status": "respondent"}],
        core__weights=[{"unit_id": "a", "status": "respondent", "weight": weight}],
    )
    assert found.height == 1
    assert found["unit_id"].to_list() == [None]


def test_a_duplicate_names_its_table_and_count(run: Run) -> None:
    found = run("checks.duplicate_units", core__sample=[{"unit_id": "a"}] * 3)
    assert found.select("table_name", "unit_id", "rows_found").rows() == [("core.sample", "a", 3)]


def test_stratum_counts_follow_each_selected_unit(run: Run) -> None:
    found = run(
        "cells.stratum_counts",
        core__frame=[{"unit_id": unit, "selection_stratum": "s", "take_all": True} for unit in "abcd"],
        core__sample=[
            {"unit_id": unit, "selection_stratum": "s", "take_all": True, "status": status}
            for unit, status in (
                ("a", "respondent"),
                ("b", "out_of_scope"),
                ("c", "unknown_eligibility"),
                ("d", "eligible_nonrespondent"),
            )
        ],
    )
    assert found.rows() == [("s", True, 4, 4, 1, 1, 1, 1)]


def test_wave_counts_show_how_far_each_wave_is_built(run: Run) -> None:
    found = run(
        "cells.wave_counts",
        core__frame=[{"unit_id": "a"}, {"unit_id": "b"}, {"unit_id": "a", "wave": 2024}],
        core__sample=[{"unit_id": "a"}],
    )
    assert found.rows() == [("industry", 2024, 1, 0, 0, 0, 0), ("industry", 2025, 2, 1, 0, 0, 0)]
