"""Staging: which rows of raw.* get in, and in which form."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

Run = Callable[..., pl.DataFrame]

FILE = {"delivery": "d1", "file_name": "a.csv", "file_sha256": "aa"}


def delivered(contract: str, **changes: Any) -> Mapping[str, Any]:
    return {**FILE, "contract": contract, "status": "current", **changes}


def test_an_enterprise_of_the_frame_is_typed(run: Run) -> None:
    sent = {
        "business_number": "120-81-47521",
        "ksic": "C26",
        "region": "11.0",
        "employees": "1,395",
        "selection_ksic_group": "CC",
        "selection_size_class": "250+",
        "selection_region": "31",
        "take_all": "Y",
    }
    found = run(
        "staging.business_frame",
        raw__business_frame=[{**FILE, "row_number": 7, **sent}],
        meta__delivery_file=[delivered("business_frame")],
    )
    assert found.drop("unit_id").to_dicts() == [
        {
            "survey": "industry",
            "wave": 2025,
            "file_sha256": "aa",
            "row_number": 7,
            "identifier": "1208147521",
            "ksic_division": "26",
            "region": "11",
            "employees": 1395,
            "selection_ksic_group": "CC",
            "selection_size_class": "250+",
            "selection_region": "31",
            "take_all": True,
        }
    ]


def test_an_institution_of_the_frame_is_typed(run: Run) -> None:
    sent = {
        "institution_code": "12345.0",
        "institution_type": "central",
        "main_sector": "p3",
        "fields": "P12;P03",
        "region": "29",
        "employees": " 410 ",
        "selection_main_sector": "P03",
        "selection_institution_type": "public_institution",
        "take_all": "N",
    }
    found = run(
        "staging.institution_frame",
        survey="public",
        raw__institution_frame=[{**FILE, "row_number": 1, **sent}],
        meta__delivery_file=[delivered("institution_frame")],
    )
    [row] = found.drop("survey", "wave", "file_sha256", "row_number", "unit_id").to_dicts()
    assert row == {
        "identifier": "0012345",
        "institution_type": "central",
        "main_sector": "P03",
        "fields": ["P03", "P12"],
        "region": "29",
        "employees": 410,
        "selection_main_sector": "P03",
        "selection_institution_type": "public_institution",
        "take_all": False,
    }


def test_a_selected_enterprise_is_typed(run: Run) -> None:
    sent = {
        "business_number": "1208147521",
        "selection_ksic_group": "A",
        "selection_size_class": "10-49",
        "selection_region": "11",
        "inclusion_probability": "0.0625",
        "panel_since": "2022.0",
        "permanent_random_number": "1.5e-3",
        "disposition": "2.1",
    }
    found = run(
        "staging.industry_sample",
        raw__industry_sample=[{**FILE, "row_number": 1, **sent}],
        meta__delivery_file=[delivered("industry_sample")],
    )
    [row] = found.drop("survey", "wave", "file_sha256", "row_number", "unit_id").to_dicts()
    assert row == {
        "identifier": "1208147521",
        "selection_ksic_group": "A",
        "selection_size_class": "10-49",
        "selection_region": "11",
        "inclusion_probability": 0.0625,
        "panel_since": 2022,
        "permanent_random_number": 0.0015,
        "disposition": "2.1",
    }


def test_a_selected_institution_is_typed(run: Run) -> None:
    sent = {
        "institution_code": "345",
        "selection_main_sector": "P18",
        "selection_institution_type": "central",
        "inclusion_probability": "1",
        "panel_since": "2021",
        "permanent_random_number": "0.5",
        "disposition": "1.1",
    }
    found = run(
        "staging.public_sample",
        survey="public",
        raw__public_sample=[{**FILE, "row_number": 1, **sent}],
        meta__delivery_file=[delivered("public_sample")],
    )
    [row] = found.select("identifier", "selection_main_sector", "inclusion_probability", "disposition").to_dicts()
    assert row == {
        "identifier": "0000345",
        "selection_main_sector": "P18",
        "inclusion_probability": 1.0,
        "disposition": "1.1",
    }


def test_answers_of_an_enterprise_become_codes_and_blanks_null(run: Run) -> None:
    sent = {
        "business_number": "1208147521",
        "employees": "12",
        "ai_use": None,
        "tech_ml": "4.0",
        "tech_text": "08",
        "tech_vision": " ",
        "tech_robot": "9",
        "obstacle": "1",
    }
    found = run(
        "staging.industry_response",
        raw__industry_response=[{**FILE, "row_number": 1, **sent}],
        meta__delivery_file=[delivered("industry_response", tech_list_version="1")],
    )
    [row] = found.to_dicts()
    answers = {name: value for name, value in row.items() if name.startswith(("tech_", "ai_", "obst"))}
    assert answers == {
        "ai_use": None,
        "tech_ml": "4",
        "tech_text": "8",
        "tech_speech": None,
        "tech_vision": None,
        "tech_genai": None,
        "tech_rpa": None,
        "tech_robot": "9",
        "obstacle": "01",
    }


def test_answers_of_an_institution_by_field_become_codes(run: Run) -> None:
    sent = {"institution_code": "1", "field_P01": "1.0", "field_P02": "2", "field_P18": "8", "obstacle": "98"}
    found = run(
        "staging.public_response",
        survey="public",
        raw__public_response=[{**FILE, "row_number": 1, **sent}],
        meta__delivery_file=[delivered("public_response")],
    )
    [row] = found.select("field_P01", "field_P02", "field_P03", "field_P18", "obstacle").to_dicts()
    assert row == {"field_P01": "1", "field_P02": "2", "field_P03": None, "field_P18": "8", "obstacle": "98"}


@pytest.mark.parametrize(
    ("raw", "survey"),
    [
        ("business_frame", "industry"),
        ("industry_sample", "industry"),
        ("industry_response", "industry"),
        ("institution_frame", "public"),
        ("public_sample", "public"),
        ("public_response", "public"),
    ],
)
def test_only_rows_of_the_current_file_get_in(run: Run, raw: str, survey: str) -> None:
    older = {"delivery": "d0", "file_name": "a.csv", "file_sha256": "00"}
    found = run(
        f"staging.{raw}",
        survey=survey,
        **{
            f"raw__{raw}": [
                {**FILE, "row_number": 1},
                {**FILE, "row_number": 2},
                {**FILE, "row_number": 3},
                {**older, "row_number": 1},
                {**FILE, "row_number": 4, "wave": 2024},
            ],
        },
        meta__delivery_file=[
            delivered(raw),
            delivered(raw, **older, status="superseded"),
        ],
    )
    assert sorted(found.select("file_sha256", "row_number").rows()) == [("aa", 1), ("aa", 2), ("aa", 3)]
