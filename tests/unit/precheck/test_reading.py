"""Any file read by a contract: contracts as strangers write them, rows that balance, what is told."""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, ViolationsError
from pipelines.precheck.reading import FileReading, read_file
from pipelines.precheck.reading_told import WORDS, as_json, as_text, flat

CONTRACTS = Path(__file__).parents[3] / "data_contracts"
PLAIN = """
apiVersion: v3.2.0
kind: DataContract
id: areas
version: 1.0.0
status: active
schema:
  - name: areas
    customProperties:
      - {property: form, value: {delimiter: ';'}}
    properties:
      - {name: code, physicalName: 지역, logicalType: string, required: true, primaryKey: true}
      - name: kind
        logicalType: string
        enum: [{value: NO}, {value: '01'}]
      - name: share
        logicalType: number
        logicalTypeOptions: {minimum: 0, maximum: 1}
        customProperties:
          - {property: unit, value: share}
          - {property: reading, value: {percent: sign, decimal: ',', missing: {S: suppressed}}}
"""
ROWS = "지역;kind;share\n011;NO;9,4%\n012;01;S\n"
Read = Callable[..., FileReading]


@pytest.fixture(scope="module")
def library() -> ContractLibrary:
    return load_library(CONTRACTS)


@pytest.fixture
def read(library: ContractLibrary, tmp_path: Path) -> Read:
    def run(rows: str | bytes, contract: str = PLAIN, *, name: str = "areas.csv", **keys: Any) -> FileReading:
        path, contract_path = tmp_path / name, tmp_path / "areas.yaml"
        path.write_bytes(rows if isinstance(rows, bytes) else rows.encode("utf-8"))
        contract_path.write_text(textwrap.dedent(contract), encoding="utf-8")
        return read_file(path, contract_path, library, **keys)

    return run


def faults(read: Read, contract: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ViolationsError) as caught:
        read(ROWS, contract)
    assert caught.value.where == "contract areas.yaml"
    return [(fault.code, fault.where, fault.hint) for fault in caught.value.violations]


def test_a_plain_contract_is_enough(read: Read) -> None:
    found = read(ROWS)
    assert found.verdict == "accept"
    assert found.typed.schema == {
        "code": pl.String,
        "kind": pl.String,
        "share": pl.Float64,
        "share_flag": pl.String,
    }
    assert found.typed.rows() == [("011", "NO", 0.094, None), ("012", "01", None, "suppressed")]
    assert found.quarantine.is_empty()


def test_rows_are_typed_or_quarantined_with_their_reasons(read: Read) -> None:
    found = read(ROWS + "013;02;150%\n;NO;9,4\n011;NO;9,4%\n015;NO;abc\n")
    assert found.verdict == "remarks"
    assert (found.rows, found.typed.height, found.quarantine.height) == (6, 2, 4)
    told = {row["row"]: row for row in found.quarantine.to_dicts()}
    assert told[3]["rules"] == ["share_in_range", "kind_known_code"]
    assert set(told[4]["rules"]) == {"code_not_null", "share_not_a_number"}
    assert told[5]["rules"] == ["duplicate_row"]
    assert "rows 1, 5" in told[5]["reasons"][0]
    assert told[6]["reasons"] == ["share: cannot be read as a number. Sent: 'abc'."]
    assert told[6]["share"] == "abc"
    rules = {row["rule"]: row for row in found.rules.to_dicts()}
    assert rules["share_not_a_number"]["examples"] == [4, 6]
    assert rules["share_not_a_number"]["records"] == 2


def unpivoted(contract: str) -> str:
    """The contract for a wide file, a column a year."""
    return contract.replace(
        "- {property: form, value: {delimiter: ';'}}",
        "- {property: unpivot, value: {pattern: '^[0-9]{4}$', name: year, value: share}}",
    ).replace(
        "- name: kind\n        logicalType: string\n        enum: [{value: NO}, {value: '01'}]",
        "- {name: year, logicalType: integer, primaryKey: true, primaryKeyPosition: 2}",
    )


UNPIVOTED = unpivoted(PLAIN)


def test_wide_files_are_told_of_by_their_own_rows(read: Read) -> None:
    found = read('지역,2024,2025\nA,1%,"2,5%"\nB,x,S\nA,3%,"2,5%"\n', UNPIVOTED)
    assert (found.rows, found.records, found.typed.height, found.quarantine.height) == (3, 6, 2, 4)
    told = found.quarantine.select("row", "year", "rules").rows()
    assert told == [
        (1, "2024", ["duplicate_unit"]),
        (2, "2024", ["share_not_a_number"]),
        (3, "2024", ["duplicate_unit"]),
        (3, "2025", ["duplicate_row"]),
    ]
    assert "See rows 1, 3." in found.quarantine["reasons"][0][0]
    assert found.typed.rows() == [("A", 2025, 0.025, None), ("B", 2025, None, "suppressed")]


def test_codes_of_numbers_and_of_lists(read: Read) -> None:
    contract = """
        schema:
          - name: areas
            properties:
              - {name: digits, logicalType: integer, enum: [{value: 1}, {value: 2}]}
              - name: parts
                logicalType: array
                enum: [{value: a.b}, {value: c}]
                customProperties: [{property: reading, value: {items: ';'}}]
        """
    found = read("digits,parts\n1,a.b;c\n3,c\n2,axb\n2,\n", contract)
    assert found.quarantine.select("row", "rules").rows() == [
        (2, ["digits_known_code"]),
        (3, ["parts_known_code"]),
    ]
    assert found.typed.rows() == [(1, ["a.b", "c"]), (2, None)]
    assert flat(found.typed)["parts"].to_list() == ['["a.b", "c"]', None]


def test_rules_of_the_contract_are_run(read: Read) -> None:
    rule = """
    quality:
      - id: code_before_kind
        type: custom
        engine: greatExpectations
        severity: warning
        description: The code is not NO.
        implementation:
          type: expect_column_values_to_not_be_in_set
          kwargs: {column: code, value_set: ['012']}
"""
    found = read(ROWS, PLAIN + rule.removeprefix("\n"))
    assert found.verdict == "remarks"
    assert found.typed.height == 2
    assert found.rules.select("rule", "severity", "records", "message_en").rows() == [
        ("code_before_kind", "warning", 1, "The code is not NO.")
    ]


LIMITED = (
    PLAIN
    + """
    quality:
      - id: share_given
        type: custom
        engine: greatExpectations
        severity: fail_file
        description: The share is given.
        implementation:
          type: expect_column_values_to_not_be_null
          kwargs: {column: share}
        customProperties: [{property: maxShare, value: 0.5}]
""".removeprefix("\n")
)


@pytest.mark.parametrize(("rows", "verdict"), [("011;NO;9%\n012;NO;\n", "remarks"), ("011;NO;\n012;NO;\n", "reject")])
def test_a_rule_may_reject_the_file(read: Read, rows: str, verdict: str) -> None:
    """At most half of the rows may break it; they are kept apart either way, and both are told."""
    found = read("지역;kind;share\n" + rows, LIMITED)
    broken = 2 if verdict == "reject" else 1
    assert (found.verdict, found.rows, found.quarantine.height) == (verdict, 2, broken)
    assert found.rules.select("rule", "severity", "records").rows() == [("share_given", "fail_file", broken)]
    for fault in found.violations:
        assert (fault.code, fault.where, fault.got, fault.rows) == ("share_given", "areas.csv", "2 of 2 rows", (1, 2))
        assert WORDS["ko"]["reject"] in as_text(found, "ko")
        assert "The share is given." in as_text(found, "en")
    assert len(found.violations) == (verdict == "reject")


def test_rules_that_reject_a_wide_file_name_its_own_rows(read: Read) -> None:
    found = read("지역,2024,2025\nA,1%,2%\nB,,\nC,,\n", unpivoted(LIMITED))
    assert [(fault.got, fault.rows) for fault in found.violations] == [("4 of 6 rows", (2, 3))]


def test_a_code_list_of_the_project_may_be_named(read: Read) -> None:
    contract = """
        schema:
          - name: areas
            properties:
              - name: region
                logicalType: string
                customProperties: [{property: classification, value: regions}]
        """
    assert read("region\n11\n99\n", contract).quarantine["row"].to_list() == [2]
    (fault,) = faults(read, contract.replace("value: regions", "value: region"))
    assert fault[0] == "unknown_classification"


def test_json_stat_and_dates_of_odcs(read: Read) -> None:
    contract = """
        schema:
          - name: days
            customProperties: [{property: content, value: json-stat}]
            properties:
              - {name: day, logicalType: date, logicalTypeOptions: {format: dd.MM.yyyy}}
              - {name: value, logicalType: integer}
              - {name: status, logicalType: string}
        """
    cube = {
        "version": "2.0",
        "class": "dataset",
        "id": ["day"],
        "size": [1],
        "dimension": {"day": {"category": {"index": ["31.12.2025"]}}},
        "value": [7],
    }
    found = read(json.dumps(cube), contract, name="reply.json")
    assert [str(cell) for cell in found.typed.row(0)] == ["2025-12-31", "7", "None"]
    broken = read("{", contract, name="reply.json")
    assert broken.verdict == "reject"
    assert [violation.code for violation in broken.violations] == ["not_json"]


@pytest.mark.parametrize(
    ("old", "new", "code", "where", "hint"),
    [
        ("properties:", "propertys:", "unknown_key", "schema[areas].propertys", "did you mean properties?"),
        ("required: true", "requird: true", "unknown_key", "schema[areas].properties[code].requird", "mean required?"),
        ("property: reading", "property: readings", "unknown_property", "areas.share", "did you mean reading?"),
        ("percent: sign", "percent: signs", "unknown_percent", "share.reading.percent", "did you mean sign?"),
        ("decimal: ','", "decimals: ','", "unknown_key", "share.reading.decimals", "did you mean decimal?"),
        ("{delimiter: ';'}", "{delimeter: ';'}", "unknown_key", "form.delimeter", "did you mean delimiter?"),
        (
            "{property: form, value: {delimiter: ';'}}",
            "{property: content, value: jsonstat}",
            "unknown_content",
            "content",
            "json-stat",
        ),
        (
            "form, value: {delimiter: ';'}",
            "dropRowsBlankIn, value: [shares]",
            "unknown_column",
            "dropRowsBlankIn",
            "mean share?",
        ),
        ("maximum: 1", "max: 1", "invalid_contract", "areas.share", "complete"),
        (
            "name: share\n        logicalType: number",
            "name: share\n        logicalType: numeric",
            "invalid_contract",
            "areas.share",
            "",
        ),
        ("name: kind", "name: share_flag", "duplicate", "areas.share_flag", "rename"),
        ("name: kind", "name: code", "duplicate", "areas", "rename"),
    ],
)
def test_slips_in_a_contract_are_named(read: Read, old: str, new: str, code: str, where: str, hint: str) -> None:
    assert old in PLAIN
    found = faults(read, PLAIN.replace(old, new, 1))
    assert [(fault[0], fault[1]) for fault in found] == [(code, where)]
    assert hint in found[0][2]


def test_all_slips_at_once(read: Read) -> None:
    contract = PLAIN.replace("percent: sign", "percent: signs").replace("{delimiter: ';'}", "{delimeter: ';'}")
    assert {fault[0] for fault in faults(read, contract)} == {"unknown_percent", "unknown_key"}


def test_which_of_several_tables(read: Read) -> None:
    two = PLAIN + "  - name: others\n    properties: [{name: x, logicalType: string}]\n"
    assert read(ROWS, two, table="areas").verdict == "accept"
    with pytest.raises(AxstatError, match=r"which_table[\s\S]*areas, others"):
        read(ROWS, two)
    with pytest.raises(ViolationsError, match="did you mean areas"):
        read(ROWS, two, table="area")


@pytest.mark.parametrize(
    ("contract", "message"),
    [("a: [", "not_yaml"), ("- 1", "not_a_mapping"), ("schema: []", "which_table"), ("schema: 3", "invalid_contract")],
)
def test_what_is_no_contract(read: Read, contract: str, message: str) -> None:
    with pytest.raises(AxstatError, match=message):
        read(ROWS, contract)


def test_files_that_are_not_as_the_contract_says(read: Read, library: ContractLibrary, tmp_path: Path) -> None:
    assert [one.code for one in read("a;b\n1;2\n").violations] == ["no_known_column"]
    assert [one.code for one in read(ROWS, name="areas.docx").violations] == ["unknown_format"]
    assert read("").verdict == "reject"
    with pytest.raises(AxstatError, match="no_such_file"):
        read_file(tmp_path / "none.csv", tmp_path / "areas.yaml", library)


def test_the_tellings_agree(read: Read) -> None:
    found = read(ROWS + "013;02;5%\n")
    text, told = as_text(found, "en"), json.loads(as_json(found))
    assert "data rows: 3 · typed: 2 · quarantined: 1" in text
    assert told["rows"] == told["typed"] + told["quarantined"] + told["dropped"]
    assert told["quarantine"][0]["row"] == 3
    assert told["columns"]["share"] == "Float64"
    assert all(rule in text for rule in found.rules["rule"])


def test_korean_has_no_english_sentence(read: Read) -> None:
    rows = read(ROWS + "013;02;5%\n")
    text = as_text(rows, "ko")
    assert "자료 행 수: 3 · 변환: 2 · 제외: 1" in text
    assert "[kind_known_code] 1 · 제외 · " in text
    for rule in rows.rules.iter_rows(named=True):
        assert f"조치: {rule['action_ko']}" in text
        assert f"to do:    {rule['action_en']}" in as_text(rows, "en")
    lacking = read("a;b\n1;2\n")
    lines = as_text(lacking, "ko").splitlines()
    assert lines[1:3] == [
        WORDS["ko"]["reject"],
        "[no_known_column] areas.csv: 계약에 있는 열을 하나도 찾을 수 없습니다.",
    ]
    assert lines[-1].startswith("  조치: ")
    told = [line for line in (*text.splitlines(), *lines) if not line.startswith(("  기준: ", "  실제: "))]
    assert not [line for line in told if re.search("[A-Za-z]+ [A-Za-z]+ [A-Za-z]+", line)]
    assert json.loads(as_json(lacking))["violations"][0]["action_ko"] in lines[-1]
    assert WORDS["ko"].keys() == WORDS["en"].keys()


def test_limits_of_odcs_are_told_in_both_languages(read: Read) -> None:
    found = read(ROWS, PLAIN.replace("maximum: 1}", "maximum: 0.01}"))
    [told] = [rule for rule in found.rules.to_dicts() if rule["rule"] == "share_in_range"]
    assert told["message_ko"].startswith("share: 계약의 조건에 맞지 않는 값입니다.")
    assert told["message_en"].startswith("share: in_range of")


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "areas.csv").write_text(ROWS + "013;02;5%\n", encoding="utf-8")
    (tmp_path / "areas.yaml").write_text(PLAIN, encoding="utf-8")
    asked = [str(tmp_path / name) for name in ("areas.csv", "areas.yaml")]
    outputs = [
        f"--{name}={tmp_path / file}" for name, file in (("out", "t.csv"), ("quarantine", "q.csv"), ("json", "f.json"))
    ]
    made = CliRunner().invoke(app, ["read", *asked, *outputs])
    assert made.exit_code == 3, made.output
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "code,kind,share,share_flag",
        "011,NO,0.094,",
        "012,01,,suppressed",
    ]
    assert "kind_known_code" in (tmp_path / "q.csv").read_text()
    assert json.loads((tmp_path / "f.json").read_text())["verdict"] == "remarks"
    (tmp_path / "areas.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    made = CliRunner().invoke(app, ["read", *asked, f"--out={tmp_path / 'none.csv'}"])
    assert made.exit_code == 4
    assert not (tmp_path / "none.csv").exists()
    (tmp_path / "areas.csv").write_text("지역;kind;share\n011;NO;\n", encoding="utf-8")
    (tmp_path / "areas.yaml").write_text(LIMITED, encoding="utf-8")
    limited = [f"--out={tmp_path / 'none.csv'}", f"--quarantine={tmp_path / 'rows.csv'}"]
    made = CliRunner().invoke(app, ["read", *asked, *limited])
    assert made.exit_code == 4
    assert not (tmp_path / "none.csv").exists()
    assert "share_given" in (tmp_path / "rows.csv").read_text()
    (tmp_path / "areas.csv").write_text("a;b\n1;2\n", encoding="utf-8")
    made = CliRunner().invoke(app, ["read", *asked, "--language=ko"])
    assert WORDS["ko"]["reject"] in made.output
    made = CliRunner().invoke(app, ["read", *asked, "--language=fr"])
    assert made.exit_code == 2
    made = CliRunner().invoke(app, ["read", *asked, "--out=t.docx"])
    assert made.exit_code == 1
