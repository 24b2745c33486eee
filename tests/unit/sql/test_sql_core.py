"""Core tables: strata, statuses and measures of hand-made units."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]
TECHNOLOGIES = ("ml", "text", "speech", "vision", "genai", "rpa", "robot")


def enterprise(unit_id: str, **changes: Any) -> Mapping[str, Any]:
    return {
        "unit_id": unit_id,
        "ksic_division": "26",
        "region": "11",
        "employees": 12,
        "selection_ksic_group": "CC",
        "selection_size_class": "50-249",
        "selection_region": "31",
        "take_all": False,
        **changes,
    }


def institution(unit_id: str, **changes: Any) -> Mapping[str, Any]:
    return {
        "unit_id": unit_id,
        "institution_type": "central",
        "main_sector": "P03",
        "fields": ["P03"],
        "region": "29",
        "employees": 410,
        "selection_main_sector": "P04",
        "selection_institution_type": "central",
        "take_all": True,
        **changes,
    }


def test_frame_keeps_the_stratum_of_selection_and_classifies_by_today(run: Run) -> None:
    found = run("core.frame", staging__business_frame=[enterprise("a")])
    [row] = found.to_dicts()
    assert row == {
        "survey": "industry",
        "wave": 2025,
        "unit_id": "a",
        "selection_stratum": "CC/50-249/31",
        "take_all": False,
        "employment": 12.0,
        "ksic_division": "26",
        "ksic_group": "CC",
        "ax_industry": "AX1",
        "size_class": "10-49",
        "region": "11",
        "main_sector": None,
        "institution_type": None,
    }


@pytest.mark.parametrize(
    ("employees", "size_class"),
    # 9: a panel unit that shrank below the scope stays in the lowest class
    [
        (0, "10-49"),
        (9, "10-49"),
        (49, "10-49"),
        (50, "50-249"),
        (249, "50-249"),
        (250, "250+"),
        (98000, "250+"),
    ],
)
def test_size_classes_have_inclusive_bounds(run: Run, employees: int, size_class: str) -> None:
    found = run("core.frame", staging__business_frame=[enterprise("a", employees=employees)])
    assert found["size_class"].to_list() == [size_class]


@pytest.mark.parametrize(
    ("division", "group", "industry"),
    # pharmaceuticals (21) belong to healthcare, telecommunications (61) to no AX industry, 84 is out of scope
    [
        ("21", "C21", "AX3"),
        ("86", "Q86", "AX3"),
        ("87", "Q87", None),
        ("45", "G", "AX4"),
        ("59", "JA", "AX6"),
        ("61", "JB", None),
        ("90", "R90", "AX6"),
        ("84", None, None),
    ],
)
def test_divisions_lead_to_group_and_ax_industry(
    run: Run, division: str, group: str | None, industry: str | None
) -> None:
    found = run("core.frame", staging__business_frame=[enterprise("a", ksic_division=division)])
    assert found.select("ksic_group", "ax_industry").rows() == [(group, industry)]


def test_frame_of_institutions_comes_by_the_same_statement(run: Run) -> None:
    found = run(
        "core.frame",
        survey="public",
        staging__institution_frame=[institution("0000001")],
        # the other survey's rows stay out
        staging__business_frame=[enterprise("a", survey="industry")],
    )
    [row] = found.to_dicts()
    assert row == {
        "survey": "public",
        "wave": 2025,
        "unit_id": "0000001",
        "selection_stratum": "P04/central",
        "take_all": True,
        "employment": 410.0,
        "ksic_division": None,
        "ksic_group": None,
        "ax_industry": None,
        "size_class": None,
        "region": "29",
        "main_sector": "P03",
        "institution_type": "central",
    }


def test_an_institution_serves_each_field_once_and_its_main_sector_always(run: Run) -> None:
    found = run(
        "core.frame_field",
        survey="public",
        staging__institution_frame=[
            institution("1", fields=["P03", "P12"]),
            institution("2", fields=["P12"]),
            institution("3", fields=["P03"], wave=2024),
        ],
    )
    assert sorted(found.select("unit_id", "field").rows()) == [
        ("1", "P03"),
        ("1", "P12"),
        ("2", "P03"),
        ("2", "P12"),
    ]


def selected(unit_id: str, disposition: str, **changes: Any) -> Mapping[str, Any]:
    return {
        "unit_id": unit_id,
        "selection_ksic_group": "CC",
        "selection_size_class": "50-249",
        "selection_region": "31",
        "inclusion_probability": 0.5,
        "panel_since": 2023,
        "permanent_random_number": 0.25,
        "disposition": disposition,
        **changes,
    }


def test_sample_statuses_follow_disposition_and_answers(run: Run) -> None:
    found = run(
        "core.sample",
        staging__industry_sample=[
            selected("complete", "1.1"),
            selected("partial", "1.2"),
            selected("row lost", "1.1"),
            selected("refused", "2.1"),
            selected("refused, yet a row", "2.1"),
            selected("not found", "3.2"),
            selected("closed", "4.2"),
        ],
        staging__industry_response=[
            {"unit_id": "complete"},
            {"unit_id": "partial"},
            {"unit_id": "refused, yet a row"},
            {"unit_id": "row lost", "wave": 2024},
        ],
        core__frame=[
            {"unit_id": unit, "take_all": False}
            for unit in ("complete", "partial", "row lost", "refused", "refused, yet a row", "not found")
        ],
    )
    statuses = found.select("unit_id", "disposition_group", "on_frame", "answered", "status").sort("unit_id")
    assert statuses.rows() == [
        ("closed", "out_of_scope", False, False, "out_of_scope"),
        ("complete", "respondent", True, True, "respondent"),
        ("not found", "unknown_eligibility", True, False, "unknown_eligibility"),
        ("partial", "respondent", True, True, "respondent"),
        ("refused", "eligible_nonrespondent", True, False, "eligible_nonrespondent"),
        ("refused, yet a row", "eligible_nonrespondent", True, True, "eligible_nonrespondent"),
        ("row lost", "respondent", True, False, "eligible_nonrespondent"),
    ]
    assert set(found["selection_stratum"]) == {"CC/50-249/31"}


def test_take_all_is_the_frames_and_of_a_unit_off_the_frame_its_probability(run: Run) -> None:
    found = run(
        "core.sample",
        survey="public",
        staging__public_sample=[
            {
                "unit_id": unit,
                "selection_main_sector": "P01",
                "selection_institution_type": "central",
                "inclusion_probability": probability,
                "disposition": "1.1",
            }
            for unit, probability in (
                ("on, take-all", 1.0),
                ("on, sampled", 1.0),
                ("off, 1", 1.0),
                ("off, ½", 0.5),
            )
        ],
        core__frame=[
            {"unit_id": "on, take-all", "take_all": True},
            {"unit_id": "on, sampled", "take_all": False},
        ],
    )
    assert dict(found.select("unit_id", "take_all").iter_rows()) == {
        "on, take-all": True,
        "on, sampled": False,
        "off, 1": True,
        "off, ½": False,
    }
    assert set(found["selection_stratum"]) == {"P01/central"}


def test_units_are_classified_by_the_frame_not_by_the_respondent(run: Run) -> None:
    found = run(
        "core.units",
        staging__industry_response=[
            {"unit_id": "a", "ksic_division": "47", "region": "39", "employees": 999},
            {"unit_id": "not on the frame"},
        ],
        core__frame=[
            {
                "unit_id": "a",
                "employment": 12.0,
                "ax_industry": "AX1",
                "ksic_group": "CC",
                "size_class": "10-49",
                "region": "11",
            }
        ],
    )
    assert found.to_dicts() == [
        {
            "survey": "industry",
            "wave": 2025,
            "unit_id": "a",
            "question_version": "list-2022",
            "tech_list_version": "1",
            "employment": 12.0,
            "ax_industry": "AX1",
            "ksic_group": "CC",
            "size_class": "10-49",
            "region": "11",
            "main_sector": None,
            "institution_type": None,
        }
    ]


def measures(
    run: Run, answers: str, *, survey: str = "industry", fields: Mapping[str, str] | None = None
) -> dict[tuple[str, str], tuple[float | None, str]]:
    """Measures of one unit with a character of `answers` for each technology ('-' is NULL)."""
    given = {
        f"tech_{technology}": None if answer == "-" else answer
        for technology, answer in zip(TECHNOLOGIES, answers, strict=True)
    }
    tables: dict[str, Any] = {
        f"staging__{survey}_response": [{"unit_id": "a", **given, **(fields or {})}],
        "core__units": [{"unit_id": "a", "question_version": "list-2022"}],
    }
    if survey == "public":
        tables["core__frame_field"] = [{"unit_id": "a", "field": field} for field in ("P01", "P02", "P03", "P04")]
    found = run("core.unit_measure", survey=survey, **tables)
    assert found.select("field", "measure").is_duplicated().sum() == 0
    return {
        (field, measure): (value, status)
        for field, measure, value, status in found.select("field", "measure", "value", "answer_status").iter_rows()
    }


def stages(found: Mapping[tuple[str, str], tuple[float | None, str]]) -> list[float | None]:
    return [found["", f"stage_{stage}"][0] for stage in ("none", "planned", "pilot", "deployed", "scaled")]


@pytest.mark.parametrize(
    ("answers", "adoption", "status", "ladder"),
    [
        ("1111111", 0.0, "answered", [1, 0, 0, 0, 0]),
        ("1211111", 0.0, "answered", [0, 1, 0, 0, 0]),
        ("1213111", 0.0, "answered", [0, 0, 1, 0, 0]),
        ("1211141", 1.0, "answered", [0, 0, 0, 1, 0]),
        ("5411111", 1.0, "answered", [0, 0, 0, 0, 1]),
        # one in operation settles adoption, whatever is missing
        ("4-89---", 1.0, "answered", [0, 0, 0, 1, 0]),
        # not one in operation, and not all answered: unknown; refusal before don't-know before blank
        ("1111118", None, "dont_know", [None] * 5),
        ("3111198", None, "refused", [None] * 5),
        ("311111-", None, "not_asked", [None] * 5),
        ("8-11111", None, "dont_know", [None] * 5),
        ("-------", None, "not_asked", [None] * 5),
    ],
)
def test_adoption_and_ladder_follow_from_the_technologies(
    run: Run, answers: str, adoption: float | None, status: str, ladder: list[float | None]
) -> None:
    found = measures(run, answers)
    assert found["", "ai_adoption"] == (adoption, status)
    assert stages(found) == ladder
    assert {found["", f"stage_{stage}"][1] for stage in ("none", "scaled")} == {status}
    # seven technologies, five stages, adoption, generative AI; no field
    assert len(found) == 7 + 5 + 2


def test_a_technology_and_generative_ai_have_their_own_answers(run: Run) -> None:
    found = measures(run, "1345898")
    assert [found["", f"tech_{technology}"] for technology in TECHNOLOGIES] == [
        (0.0, "answered"),
        (0.0, "answered"),
        (1.0, "answered"),
        (1.0, "answered"),
        (None, "dont_know"),
        (None, "refused"),
        (None, "dont_know"),
    ]
    assert found["", "genai_adoption"] == (None, "dont_know")


def test_generative_ai_in_operation_is_adoption_of_it(run: Run) -> None:
    found = measures(run, "1111411")
    assert found["", "genai_adoption"] == found["", "tech_genai"] == (1.0, "answered")


def test_a_field_counts_where_the_register_has_the_institution_serve_it(run: Run) -> None:
    answers = {"field_P01": "1", "field_P02": "2", "field_P03": "9", "field_P05": "1"}
    found = measures(run, "1111111", survey="public", fields=answers)
    assert {key: value for key, value in found.items() if key[1] == "field_adoption"} == {
        ("P01", "field_adoption"): (1.0, "answered"),
        ("P02", "field_adoption"): (0.0, "answered"),
        ("P03", "field_adoption"): (None, "refused"),
        ("P04", "field_adoption"): (None, "not_asked"),
    }


@pytest.mark.parametrize(
    ("answer", "value", "status"),
    [
        ("1", 1.0, "answered"),
        ("2", 0.0, "answered"),
        ("8", None, "dont_know"),
        ("9", None, "refused"),
        (None, None, "not_asked"),
    ],
)
def test_the_older_question_gives_adoption_only(run: Run, answer: str | None, value: float | None, status: str) -> None:
    found = run(
        "core.unit_measure",
        wave=2021,
        # the newer question's columns are not looked at, even if they were filled
        staging__industry_response=[{"unit_id": "a", "ai_use": answer, "tech_ml": "4"}],
        core__units=[{"unit_id": "a", "question_version": "yn-2019"}],
    )
    assert found.to_dicts() == [
        {
            "survey": "industry",
            "wave": 2021,
            "unit_id": "a",
            "field": "",
            "measure": "ai_adoption",
            "value": value,
            "answer_status": status,
            "imputed": False,
        }
    ]


def test_an_imputed_answer_stands_for_the_missing_one_and_marks_what_rests_on_it(run: Run) -> None:
    def imputed(unit: str, value: str, variable: str = "tech_genai", **more: Any) -> Mapping[str, Any]:
        return {"unit_id": unit, "variable": variable, "value": value, "method": "hot_deck", **more}

    answers = {f"tech_{technology}": "1" for technology in TECHNOLOGIES}
    found = run(
        "core.unit_measure",
        staging__industry_response=[
            {"unit_id": "a", **answers, "tech_genai": "9"},
            {"unit_id": "b", **answers, "tech_genai": None, "tech_ml": "8"},
            {"unit_id": "c", **answers, "tech_genai": "9"},
        ],
        core__units=[{"unit_id": unit, "question_version": "list-2022"} for unit in "abc"],
        # of another wave, and of another unit: neither counts here
        core__imputed_value=[imputed("a", "4"), imputed("b", "1"), imputed("c", "4", wave=2024), imputed("d", "4")],
    )
    rows = {(row["unit_id"], row["measure"]): row for row in found.iter_rows(named=True)}

    def told(unit: str, measure: str) -> tuple[float | None, str, bool]:
        row = rows[unit, measure]
        return row["value"], row["answer_status"], row["imputed"]

    assert told("a", "tech_genai") == told("a", "genai_adoption") == (1.0, "answered", True)
    assert told("a", "ai_adoption") == told("a", "stage_deployed") == (1.0, "answered", True)
    assert told("a", "tech_ml") == (0.0, "answered", False)
    # an imputed technology settles nothing while another is missing
    assert told("b", "tech_genai") == (0.0, "answered", True)
    assert told("b", "ai_adoption") == (None, "dont_know", True)
    assert told("c", "tech_genai") == (None, "refused", False)
    assert not {unit for unit, _ in rows} & {"d"}


def test_the_older_question_can_be_imputed(run: Run) -> None:
    found = run(
        "core.unit_measure",
        wave=2021,
        staging__industry_response=[{"unit_id": "a", "ai_use": "9"}, {"unit_id": "b", "ai_use": "2"}],
        core__units=[{"unit_id": unit, "question_version": "yn-2019"} for unit in "ab"],
        core__imputed_value=[{"unit_id": "a", "variable": "ai_use", "value": "1", "method": "last_wave"}],
    )
    assert found.sort("unit_id").select("value", "answer_status", "imputed").rows() == [
        (1.0, "answered", True),
        (0.0, "answered", False),
    ]


def test_measures_made_are_those_of_the_surveys_contracts(run: Run, library: Any) -> None:
    found = measures(run, "1111111", survey="public")
    assert {measure for _, measure in found} == set(library.surveys["public"].measures(2025))


def test_delivered_rows_are_accounted_for(run: Run) -> None:
    def file(delivery: str, contract: str, rows: int, status: str = "current") -> Mapping[str, Any]:
        return {
            "delivery": delivery,
            "file_name": f"{contract}.csv",
            "file_sha256": f"{delivery} {contract}",
            "contract": contract,
            "rows_in": rows,
            "status": status,
        }

    found = run(
        "meta.row_balance",
        meta__delivery_file=[
            file("d1", "industry_response", 4),
            file("d0", "industry_response", 9, "superseded"),
            file("d1", "industry_sample", 3),
            file("d2", "business_frame", 5, "rejected"),
        ],
        raw__quarantine=[
            {
                "delivery": "d1",
                "file_name": "industry_response.csv",
                "file_sha256": "d1 industry_response",
                "contract": "industry_response",
                "row_number": 3,
            },
            # of a file that was replaced since: its rows are counted as superseded
            {
                "delivery": "d0",
                "file_name": "industry_response.csv",
                "file_sha256": "d0 industry_response",
                "contract": "industry_response",
                "row_number": 1,
            },
        ],
        core__units=[{"unit_id": unit} for unit in "abc"],
        core__sample=[{"unit_id": unit} for unit in "ab"],
    )
    columns = ("contract", "rows_in", "core", "quarantined", "rejected", "superseded")
    assert found.select(columns).sort("contract").rows() == [
        ("business_frame", 5, 0, 0, 5, 0),
        ("industry_response", 13, 3, 1, 0, 9),
        ("industry_sample", 3, 2, 0, 0, 0),
    ]


def test_the_order_of_units_is_that_of_their_random_numbers_and_of_equal_ones_that_of_the_file(run: Run) -> None:
    """Never that of their identifiers, which are others in each warehouse."""
    rows = (("d", 0.25, 4), ("a", 0.25, 9), ("c", 0.5, 1), ("b", 0.0625, 7))
    found = run(
        "core.sample",
        staging__industry_sample=[
            selected(unit, "1.1", permanent_random_number=number, row_number=row) for unit, number, row in rows
        ],
    )
    assert dict(found.sort("draw_id").select("unit_id", "draw_id").iter_rows()) == {
        "b": "0.06250000000000000/1",
        "d": "0.25000000000000000/1",
        "a": "0.25000000000000000/2",
        "c": "0.50000000000000000/1",
    }
    assert found.sort("draw_id")["unit_id"].to_list() == ["b", "d", "a", "c"]
