"""From ODCS objects to records."""

from typing import Any

import pytest
from open_data_contract_standard.model import OpenDataContractStandard

from pipelines.contracts.models import Code
from pipelines.contracts.odcs import OdcsProblemError, table_contract

OPTIONAL = {"property": "optional", "value": True}


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
        "description": "A colour is one digit.",
        "implementation": {
            "type": "expect_column_value_lengths_to_equal",
            "kwargs": {"column": "colour", "value": 1},
        },
        "customProperties": [
            {"property": "messageKo", "value": "길이가 다릅니다."},
            {"property": "messageEn", "value": "Wrong length."},
            {"property": "actionKo", "value": "문의"},
            {"property": "actionEn", "value": "ask"},
        ],
    }
    return {key: value for key, value in (base | changed).items() if value is not None}


def said(*names: str) -> list[dict[str, str]]:
    return [{"property": name, "value": "말"} for name in names]


def sql(**changed: Any) -> dict[str, Any]:
    """A rule in SQL; keyword `custom` adds custom properties."""
    custom = [{"property": name, "value": value} for name, value in changed.pop("custom", {}).items()]
    base = quality(type="sql", engine=None, implementation=None, id="colour_known")
    base["customProperties"] = [*base["customProperties"], *custom]
    return base | {"query": "select row_number from rows", "mustBe": 0} | changed


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
    assert (rule.why, rule.owner) == ("A colour is one digit.", "nursery")
    assert not column.optional


def test_a_rule_in_sql_is_read_with_where_it_stands() -> None:
    custom = {"reads": ["previous", "frame"], "parameters": {"factor": 5}, "maxShare": 0.1, "owner": "painter"}
    content = document(quality=[sql(severity="fail_file", custom=custom)])
    content["schema"][0]["quality"] = [sql(id="whole_row")]
    table = read(content)
    assert table.quality == ()
    whole, rule = table.sql_rules
    assert (whole.id, whole.column, whole.reads, dict(whole.parameters)) == ("whole_row", None, (), {})
    assert (rule.column, rule.severity, rule.max_share, rule.owner) == ("colour", "fail_file", 0.1, "painter")
    assert (rule.reads, dict(rule.parameters)) == (("frame", "previous"), {"factor": 5})
    assert rule.query == "select row_number from rows"


def test_a_column_may_be_optional() -> None:
    [column] = read(document(customProperties=[{"property": "labelEn", "value": "a"}, OPTIONAL])).columns
    assert column.optional


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
        ({"quality": [quality(severity="fatal")]}, "fail_file, error, warning"),
        ({"quality": [quality(description=None)]}, "why the rule is there"),
        ({"quality": [sql(query=None)]}, "colour_known: query"),
        ({"quality": [sql(mustBe=None)]}, "colour_known: mustBe 0"),
        ({"quality": [sql(custom={"reads": ["world"]})]}, "reads some of frame, sample, previous"),
        ({"quality": [sql(custom={"parameters": [5]})]}, "parameters as name and value"),
        ({"quality": [sql(custom={"maxShare": 0.1})]}, "maxShare with severity fail_file only"),
        ({"quality": [sql(severity="fail_file", custom={"maxShare": 1})]}, "maxShare from 0 to below 1"),
        ({"quality": [quality(customProperties=[])]}, "messageKo"),
        ({"quality": [quality(customProperties=said("messageKo", "messageEn", "actionEn"))]}, "colour_short: actionKo"),
        ({"quality": [quality(customProperties=said("messageKo", "messageEn", "actionKo"))]}, "colour_short: actionEn"),
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
