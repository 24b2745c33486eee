"""Look-ups on the contract records."""

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.models import QualityRule
from pipelines.errors import AxstatError


def test_columns_for_a_question_version(library: ContractLibrary) -> None:
    response = library.deliveries["industry_response"]
    names = {version: {column.name for column in response.columns_for(version)} for version in ("yn-2019", "list-2022")}
    technologies = {f"tech_{code}" for code in library.classifications["ai_technologies"].codes}
    assert names["yn-2019"] - names["list-2022"] == {"ai_use"}
    assert names["list-2022"] - names["yn-2019"] == technologies


def test_an_unknown_column_is_named_with_its_table(library: ContractLibrary) -> None:
    units = library.tables["core.units"]
    assert units.column("region").classification == "regions"
    with pytest.raises(AxstatError) as caught:
        units.column("colour")
    assert (caught.value.code, caught.value.where) == ("unknown_column", "core.units")


def test_a_rule_knows_its_column() -> None:
    def rule(**kwargs: object) -> QualityRule:
        return QualityRule(
            id="r",
            expectation="expect_x",
            kwargs=kwargs,
            severity="error",
            why="why",
            owner="owner",
            message_ko="가",
            message_en="a",
            action_ko="조치",
            action_en="do",
        )

    assert rule(column="a", min_value=1).column == "a"
    assert rule(column_A="a", column_B="b").column is None
