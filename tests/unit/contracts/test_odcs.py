"""From ODCS objects to records."""

from typing import Any

import pytest
from open_data_contract_standard.model import OpenDataContractStandard

from pipelines.contracts.models import Code
from pipelines.contracts.odcs import OdcsProblemError, table_contract


def document(**column: Any) -> dict[str, Any]:
    """A contract with one table of one column; `column` replaces keys of it (None takes one away)."""
    base: dict[str, Any] = {
        "name": "colour",
        "businessName": "색",
        "physicalType": "VARCHAR",
        "required": True,
        "primaryKey": True,
        "primaryKeyPosition": 1,
        "description": "Colour of the toy.",
        "synonyms": [{"synonym": "색깔"}, {"synonym": "COLOUR"}],
        "enum": [{"value": "1", "label": "Red", "customProperties": [{"property": "labelKo", "value": "빨강"}]}],
        "customProperties": [
            {"property": "labelEn", "value": "Colour"},
            {"property": "descriptionKo", "value": "장난감의 색."},
            {"property": "unit", "value": "code"},
            {"property": "missingCodes", "value": {"8": "dont_know", "9": "refused"}},
            {"property": "questionVersions", "value": ["v1"]},
            {"property": "identifier", "value": True},
        ],
        "quality": [quality()],
    }
    return {
        "version": "2.1.0",
        "customProperties": [
            {"property": "owner", "value": "nursery"},
            {"property": "source", "value": "shelf"},
            {"property": "licence", "value": "free"},
        ],
        "schema": [
            {
                "name": "toys",
                "physicalType": "table",
                "physicalName": "core.toys",
                "businessName": "장난감",
                "description": "Toys.",
                "dataGranularityDescription": "one row a toy",
                "customProperties": [{"property": "labelEn", "value": "Toys"}],
                "properties": [{key: value for key, value in (base | column).items() if value is not None}],
            }
        ],
    }


def quality(**changed: Any) -> dict[str, Any]:
    """A quality rule; `changed` replaces keys of it (None takes one away)."""
    base: dict[str, Any] = {
        "id": "colour_short",
        "type": "custom",
        "engine": "greatExpectations",
        "severity": "warning",
        "implementation": {
            "type": "expect_column_value_lengths_to_equal",
            "kwargs": {"column": "colour", "value": 1},
        },
        "customProperties": [
            {"property": "messageKo", "value": "길이가 다릅니다."},
            {"property": "messageEn", "value": "Wrong length."},
            {"property": "action", "value": "ask"},
        ],
    }
    return {key: value for key, value in (base | changed).items() if value is not None}


def read(content: dict[str, Any]) -> Any:
    contract = OpenDataContractStandard.model_validate(content)
    assert contract.schema_ is not None
    return table_contract(contract, contract.schema_[0])


def test_everything_that_axstat_uses_is_read() -> None:
    table = read(document())
    assert (table.name, table.version, table.key) == ("core.toys", "2.1.0", ("colour",))
    assert (table.owner, table.source, table.licence) == ("nursery", "shelf", "free")
    [column] = table.columns
    assert (column.label_ko, column.label_en, column.type, column.required) == (
        "색",
        "Colour",
        "VARCHAR",
        True,
    )
    assert column.description_ko == "장난감의 색."
    assert column.codes == (Code(value="1", label_ko="빨강", label_en="Red"),)
    assert column.synonyms == ("색깔", "COLOUR")
    assert dict(column.missing_codes) == {"8": "dont_know", "9": "refused"}
    assert column.question_versions == ("v1",)
    assert column.identifier
    [rule] = table.quality
    assert (rule.id, rule.severity, rule.column) == ("colour_short", "warning", "colour")
    assert rule.expectation == "expect_column_value_lengths_to_equal"


def test_a_file_is_known_by_its_own_name() -> None:
    content = document()
    content["schema"][0] |= {"physicalType": "file", "physicalName": None}
    assert read(content).name == "toys"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"businessName": None}, "businessName"),
        ({"physicalType": None}, "physicalType"),
        ({"description": " "}, "description"),
        ({"customProperties": []}, "labelEn"),
        ({"enum": [{"value": 1, "label": "Red"}]}, "enum value"),
        ({"quality": [quality(id=None)]}, "an id for every quality rule"),
        ({"quality": [quality(engine="soda")]}, "engine greatExpectations"),
        ({"quality": [quality(implementation="text")]}, "type and kwargs"),
        ({"quality": [quality(severity="fatal")]}, "error or warning"),
        ({"quality": [quality(customProperties=[])]}, "messageKo"),
    ],
)
def test_what_is_missing_is_named(column: dict[str, Any], expected: str) -> None:
    with pytest.raises(OdcsProblemError) as caught:
        read(document(**column))
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("missingCodes", ["8"], "code and kind"),
        ("missingCodes", {"8": "perhaps"}, "'dont_know' or 'refused'"),
        ("missingCodes", {8: "dont_know"}, "missing code as text"),
        ("questionVersions", "v1", "as a list"),
        ("identifier", "yes", "true or false"),
        ("unit", 3, "unit as text"),
    ],
)
def test_custom_properties_of_the_wrong_kind_are_named(name: str, value: object, expected: str) -> None:
    properties = [{"property": "labelEn", "value": "Colour"}, {"property": name, "value": value}]
    with pytest.raises(OdcsProblemError) as caught:
        read(document(customProperties=properties))
    assert expected in caught.value.expected
