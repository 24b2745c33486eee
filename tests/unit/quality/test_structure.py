from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.quality.rows import STAGING_NAMES
from pipelines.quality.structure import check_structure

Rows = Callable[..., tuple[pl.DataFrame, pl.DataFrame]]
Found = Callable[..., dict[str, list[int]]]

OTHER = "2208147520"


@pytest.fixture
def found(rows: Rows, library: ContractLibrary) -> Found:
    """Rule -> row numbers it finds, for rules that find any."""

    def run(contract: str, *changes: Mapping[str, Any]) -> dict[str, list[int]]:
        typed, raw = rows(contract, *changes)
        back = {
            STAGING_NAMES[name]: name for name in library.deliveries[contract].column_names if name in STAGING_NAMES
        }
        checked = check_structure(typed.rename(back), raw, library.deliveries[contract])
        assert set(checked.findings["rule"]) <= {rule.id for rule in checked.rules}
        grouped = checked.findings.sort("row_number").group_by("rule", maintain_order=True).agg("row_number")
        return dict(grouped.rows())

    return run


def test_valid_rows_break_nothing(found: Found) -> None:
    for contract in ("business_frame", "industry_sample", "industry_response", "institution_frame"):
        assert found(contract, {}) == {}


def test_cells_that_cannot_be_read_as_their_type(found: Found) -> None:
    broken = {"employees": ("many", None), "take_all": ("maybe", None)}
    assert found("business_frame", {}, {"business_number": OTHER} | broken) == {
        "employees_not_a_number": [2],
        "take_all_not_yes_no": [2],
    }


def test_a_blank_cell_is_no_wrong_type(found: Found) -> None:
    assert found("business_frame", {"employees": None}) == {"employees_not_null": [1]}


def test_of_identical_rows_the_first_is_kept(found: Found) -> None:
    same = {"business_number": ("120 81 47521", "1208147521"), "employees": ("1395", 1395)}
    assert found("business_frame", {}, {"business_number": OTHER}, same, {}) == {"duplicate_row": [3, 4]}


def test_contradictory_rows_of_a_unit_are_all_set_aside(found: Found) -> None:
    other = {"business_number": OTHER}
    assert found("business_frame", {}, other, {"employees": ("12", 12)}, {}) == {"duplicate_unit": [1, 3, 4]}


def test_lists_take_part_in_the_comparison(found: Found) -> None:
    assert found("institution_frame", {}, {}) == {"duplicate_row": [2]}
    assert found("institution_frame", {}, {"fields": ("P03", ["P03"])}) == {"duplicate_unit": [1, 2]}


def test_rows_without_a_key_are_not_each_others_duplicates(found: Found) -> None:
    assert found("business_frame", {"business_number": None}, {"business_number": None}) == {
        "business_number_not_null": [1, 2]
    }


def test_a_year_after_the_wave(found: Found) -> None:
    later = {"business_number": OTHER, "panel_since": ("2026", 2026)}
    assert found("industry_sample", {"panel_since": ("2025", 2025)}, later) == {"panel_since_after_wave": [2]}


def test_what_a_file_may_lack_costs_no_row(rows: Rows, library: ContractLibrary) -> None:
    typed, raw = rows("industry_response", {"interview_minutes": ("ten", None)})
    contract = library.deliveries["industry_response"]
    back = {STAGING_NAMES[name]: name for name in contract.column_names if name in STAGING_NAMES}
    checked = check_structure(typed.rename(back), raw, contract)
    [rule] = [rule for rule in checked.rules if rule.id == "interview_minutes_not_a_number"]
    assert rule.severity == "warning"
    assert checked.findings.rows() == [(1, "interview_minutes_not_a_number", None)]
