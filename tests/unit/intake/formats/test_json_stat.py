"""JSON-stat datasets and code lists in JSON."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.code_lists import read_code_lists
from pipelines.intake.formats.json_stat import read_json_stat
from pipelines.intake.table import TextTable

DATASET: dict[str, Any] = {
    "version": "2.0",
    "class": "dataset",
    "id": ["geo", "time"],
    "size": [2, 3],
    "dimension": {
        "geo": {"label": "Area", "category": {"index": {"KR": 1, "EU": 0}, "label": {"KR": "Korea", "EU": "Europe"}}},
        "time": {"label": "Time", "category": {"index": ["2023", "2024", "2025"]}},
    },
    "value": {"0": 8.06, "4": 1.50},
    "status": {"0": "b", "5": "u"},
}


@pytest.fixture
def read(tmp_path: Path):
    def run(document: object) -> TextTable:
        path = tmp_path / "reply.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return read_json_stat(path, FileForm(), file="reply.json")

    return run


def changed(**keys: Any) -> dict[str, Any]:
    return copy.deepcopy(DATASET) | keys


def test_cells_with_a_value_or_a_status(read) -> None:
    table = read(json.dumps(DATASET).replace("1.5", "1.50"))
    assert table.headers == ("geo", "time", "value", "status")
    assert table.frame.rows() == [
        ("EU", "2023", "8.06", "b"),
        ("KR", "2024", "1.50", None),
        ("KR", "2025", None, "u"),
    ]
    assert table.labels == ("Area", "Time", None, None)
    assert table.value_labels["geo"] == {"EU": "Europe", "KR": "Korea"}
    assert table.provenance.format == "json-stat"


def test_values_as_a_list_are_the_same(read) -> None:
    as_list = changed(value=[8.06, None, None, None, 1.5, None], status=["b", None, None, None, None, "u"])
    assert read(as_list).frame.equals(read(DATASET).frame)


def test_one_status_for_all_values_and_a_dimension_of_one(read) -> None:
    one = changed(
        size=[1, 1],
        dimension={
            "geo": {"category": {"label": {"KR": "Korea"}}},
            "time": {"category": {"index": ["2025"]}},
        },
        value=[3],
        status="e",
    )
    assert read(one).frame.rows() == [("KR", "2025", "3", "e")]


@pytest.mark.parametrize(
    ("document", "code", "got"),
    [
        ("{", "not_json", "Expecting"),
        ('{"version": "2.0", "version": "1"}', "not_json", "'version' stands twice"),
        ('{"value": NaN}', "not_json", "NaN"),
        ("[" * 100_000, "not_json", ""),
        ([1], "not_json_stat", "list"),
        (changed(version="1.0"), "not_json_stat", "1.0"),
        ({"error": [{"status": 400, "label": "Unknown dataset"}]}, "not_json_stat", "Unknown dataset"),
        ({"warning": {"status": 413, "label": "ASYNCHRONOUS_RESPONSE"}}, "not_json_stat", "ASYNCHRONOUS_RESPONSE"),
        (changed(size=[2, 4]), "not_json_stat", "[2, 3] codes"),
        (changed(id=["geo", "geo"]), "not_json_stat", "geo, geo"),
        (changed(id=["geo", "year"]), "not_json_stat", "year"),
        (changed(value={"6": 1}), "not_json_stat", "1 in a dict"),
        (changed(value={"-1": 1}), "not_json_stat", "1 in a dict"),
        (changed(value={"9" * 5000: 1}), "not_json_stat", "1 in a dict"),
        (changed(value=[1, 2]), "not_json_stat", "2 in a list"),
        (changed(value={"0": {"a": 1}}), "not_json_stat", "in cell 0"),
        (changed(value=None), "not_json_stat", "None"),
        (changed(dimension={"geo": 1, "time": 2}), "not_json_stat", "TypeError"),
    ],
)
def test_what_is_no_dataset(read, document: object, code: str, got: str) -> None:
    with pytest.raises(ViolationsError) as caught:
        read(document)
    (violation,) = caught.value.violations
    assert violation.code == code
    assert got in violation.got
    assert violation.where == "reply.json"


def test_code_lists(tmp_path: Path) -> None:
    path = tmp_path / "codes.json"
    path.write_text('{"geo": {"KR": "Korea", "NO": "Norway"}, "unit": {"PC": "%"}}', encoding="utf-8")
    table = read_code_lists(path, FileForm(), file="codes.json")
    assert table.headers == ("list", "code", "label")
    assert table.frame.rows() == [("geo", "KR", "Korea"), ("geo", "NO", "Norway"), ("unit", "PC", "%")]


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"geo": 1}', '{"geo": {"KR": ["Korea"]}}', '{"geo": {"KR": 1, "KR": 2}}']
)
def test_what_is_no_code_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "codes.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ViolationsError, match=r"codes\.json"):
        read_code_lists(path, FileForm(), file="codes.json")
