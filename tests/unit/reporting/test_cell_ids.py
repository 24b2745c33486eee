"""Ids of cells: what is written is what is read."""

import pytest

from pipelines.reporting.cell_ids import cell_id, parse_cell_id


def test_an_id_is_the_table_and_its_key() -> None:
    key = ("industry", 2025, "ax_industry*size_class", "AX1*10-49", "ai_adoption", "answered", "unit")
    text = "adoption_rate/industry/2025/ax_industry*size_class/AX1*10-49/ai_adoption/answered/unit"
    assert cell_id("adoption_rate", key) == text
    assert parse_cell_id(text) == ("adoption_rate", tuple(map(str, key)))
    assert parse_cell_id("adoption_rate") == ("adoption_rate", ())


@pytest.mark.parametrize("value", ["a/b", "two words", "100 %", "한국", "", "250+"])
def test_any_value_comes_back(value: str) -> None:
    text = cell_id("benchmark", ("x", value, "y"))
    assert " " not in text
    assert parse_cell_id(text) == ("benchmark", ("x", value, "y"))
