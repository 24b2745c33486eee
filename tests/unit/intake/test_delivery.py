import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyreadstat
import pytest
import xlsxwriter

from pipelines.contracts.compiler import polars_schema, raw_table
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import ViolationsError
from pipelines.intake.delivery import RawTable, read_delivery_file
from pipelines.intake.manifest import read_manifest

Deliver = Callable[..., Path]
Check = Callable[..., RawTable]

# A response of the list version in the Korean headers of a flat file.
HEADERS = {
    "business_number": "사업자등록번호",
    "ksic": "산업분류코드",
    "region": "시도코드",
    "employees": "종사자수",
}
ROW = {"business_number": "120-81-47521", "ksic": "C26", "region": "11", "employees": "1,395"}
ANSWERS = {
    "tech_ml": "1",
    "tech_text": "2",
    "tech_speech": "3",
    "tech_vision": "4",
    "tech_genai": "5",
    "tech_rpa": "8",
    "tech_robot": "9",
    "obstacle": "01",
}


def csv(rows: Sequence[dict[str, str]], *, encoding: str = "utf-8", drop: Sequence[str] = ()) -> bytes:
    names = [name for name in rows[0] if name not in drop]
    lines = [[HEADERS.get(name, name) for name in names], *([row[name] for name in names] for row in rows)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\r\n" for line in lines).encode(encoding)


def response(**changes: str) -> dict[str, str]:
    return ROW | ANSWERS | changes


@pytest.fixture
def read(library: ContractLibrary) -> Check:
    def run(folder: Path, *, survey: str = "industry", wave: int = 2025) -> RawTable:
        manifest = read_manifest(folder)
        [entry] = manifest.files
        return read_delivery_file(manifest, entry, library.deliveries[entry.contract], survey=survey, wave=wave)

    return run


def codes(read: Check, folder: Path, **keys: Any) -> list[str]:
    with pytest.raises(ViolationsError) as caught:
        read(folder, **keys)
    assert all(violation.hint for violation in caught.value.violations)
    return [violation.code for violation in caught.value.violations]


def test_rows_come_back_as_sent_with_their_provenance(deliver: Deliver, read: Check, library: ContractLibrary) -> None:
    content = csv([response(), response(business_number=" 1208147521", employees="")], encoding="cp949")
    table = read(deliver(content, rows=2, file="응답.csv", entry={"encoding": "cp949"}))

    contract = raw_table(library.deliveries["industry_response"])
    assert table.frame.schema == polars_schema(contract)
    first, second = table.frame.to_dicts()
    assert first["survey"] == "industry"
    assert first["wave"] == 2025
    assert first["delivery"] == "d1"
    assert first["file_name"] == "응답.csv"
    assert len(first["file_sha256"]) == 64
    assert [first["row_number"], second["row_number"]] == [1, 2]
    assert {name: first[name] for name in ROW | ANSWERS} == ROW | ANSWERS
    # Asked in the 2021 wording only, and rightly not in this file.
    assert first["ai_use"] is None
    assert second["business_number"] == " 1208147521"
    assert second["employees"] is None
    assert first["extra_columns"] is None
    assert table.warnings == ()
    assert (table.contract, table.format, table.encoding) == ("industry_response", "delimited text", "cp949")


def test_extra_columns_are_kept_and_reported(deliver: Deliver, read: Check) -> None:
    table = read(deliver(csv([response(메모="가, 나", 조사원="")])))
    assert [json.loads(text) for text in table.frame["extra_columns"]] == [{"메모": "가, 나", "조사원": None}]
    [warning] = table.warnings
    assert warning.code == "extra_columns"
    assert warning.got == "2 more: '메모', '조사원'"


def test_titles_and_notes_are_a_remark_unless_they_are_declared(deliver: Deliver, read: Check) -> None:
    content = "실태조사 응답\r\n\r\n".encode() + csv([response()]) + "※ 잠정 자료\r\n".encode()
    table = read(deliver(content))
    assert table.frame.height == 1
    assert table.notes == ("실태조사 응답", "※ 잠정 자료")
    [warning] = table.warnings
    assert warning.code == "notes_left_out"
    assert "'※ 잠정 자료'" in warning.got
    declared = read(deliver(content, folder="d2", entry={"skip_rows": 2, "notes_below": 1}))
    assert (declared.notes, declared.warnings) == (table.notes, ())


def test_an_answer_of_which_only_the_number_is_there_is_a_row(deliver: Deliver, read: Check) -> None:
    last = dict.fromkeys(response(), "") | {"business_number": "124-81-00998"}
    table = read(deliver(csv([response(), response(), last]), rows=3))
    assert table.frame.height == 3
    assert table.notes == ()


def test_a_truncated_file(deliver: Deliver, read: Check) -> None:
    content = csv([response(), response()])
    found = codes(read, deliver(content[:-20], rows=2, entry={"sha256": "0" * 64}))
    assert found == ["hash_differs", "broken_quoting"]


def test_a_file_cut_at_the_end_of_a_line(deliver: Deliver, read: Check) -> None:
    with pytest.raises(ViolationsError) as caught:
        read(deliver(csv([response(), response()]), rows=3))
    [violation] = caught.value.violations
    assert violation.code == "rows_differ"
    assert violation.where == "d1/data.csv"
    assert violation.expected == "3 data rows, as the manifest says"
    assert violation.got == "2 data rows"


def test_a_wrong_encoding(deliver: Deliver, read: Check) -> None:
    content = csv([response()], encoding="cp949")
    assert codes(read, deliver(content, entry={"encoding": "utf-8"})) == ["wrong_encoding"]


def test_missing_columns_are_all_named(deliver: Deliver, read: Check) -> None:
    with pytest.raises(ViolationsError) as caught:
        read(deliver(csv([response()], drop=["employees", "tech_ml"])))
    assert [(one.code, one.where) for one in caught.value.violations] == [
        ("missing_column", "d1/data.csv, column employees"),
        ("missing_column", "d1/data.csv, column tech_ml"),
    ]


def test_an_empty_file(deliver: Deliver, read: Check) -> None:
    assert codes(read, deliver(b"", rows=0)) == ["empty_file"]


def test_a_hash_that_differs(deliver: Deliver, read: Check) -> None:
    folder = deliver(csv([response()]))
    (folder / "data.csv").write_bytes(csv([response(employees="12")]))
    with pytest.raises(ViolationsError) as caught:
        read(folder)
    [violation] = caught.value.violations
    assert violation.code == "hash_differs"
    assert violation.where == "d1/data.csv"


def test_a_damaged_file_of_a_binary_format_is_not_opened(
    deliver: Deliver, read: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*args: object, **keys: object) -> None:
        raise AssertionError("a reader of native code was given bytes that nobody vouches for")

    folder = deliver(b"not what the manifest says", file="data.sav", entry={"sha256": "0" * 64})
    monkeypatch.setattr("pipelines.intake.delivery.read_table", opened)
    assert codes(read, folder) == ["hash_differs"]


def test_a_layout_that_is_not_the_one_announced(deliver: Deliver, read: Check) -> None:
    """With another layout every column may be another one: the file is not read."""
    record, layout = b"1208147521C26", b"name,start,width\nbusiness_number,1,10\nksic,11,3\n"
    said = {"layout": "layout.csv", "layout_sha256": hashlib.sha256(layout).hexdigest()}
    folder = deliver(record + b"\n", file="data.dat", entry=said)
    (folder / "layout.csv").write_bytes(layout)
    with pytest.raises(ViolationsError) as caught:
        read(folder)
    assert "hash_differs" not in [found.code for found in caught.value.violations]  # other columns are missing
    (folder / "layout.csv").write_bytes(layout.replace(b"1,10", b"2,9 "))
    with pytest.raises(ViolationsError) as caught:
        read(folder)
    [found] = caught.value.violations
    assert (found.code, found.where) == ("hash_differs", "d1/data.dat, layout layout.csv")


def test_a_delivery_of_another_wave_or_survey(deliver: Deliver, read: Check) -> None:
    assert codes(read, deliver(csv([response()])), survey="public", wave=2024) == [
        "wrong_survey",
        "wrong_wave",
    ]


def test_a_file_that_names_another_wave(deliver: Deliver, read: Check) -> None:
    rows = [response(wave="2025"), response(wave="2024"), response(wave="")]
    with pytest.raises(ViolationsError) as caught:
        read(deliver(csv(rows), rows=3))
    [violation] = caught.value.violations
    assert (violation.code, violation.rows, violation.got) == ("wrong_wave", (2,), "'2024'")


def test_a_file_that_names_its_own_wave_and_survey(deliver: Deliver, read: Check) -> None:
    table = read(deliver(csv([response(Wave="2025", SURVEY="Industry")])))
    assert [warning.code for warning in table.warnings] == ["extra_columns"]


def test_one_unknown_code_is_a_matter_of_its_row(deliver: Deliver, read: Check) -> None:
    rows = [response(region="11"), response(region="77"), response(region="21"), response(region="")]
    assert read(deliver(csv(rows), rows=4)).frame["region"].to_list() == ["11", "77", "21", None]


def test_an_unknown_code_list_is_a_matter_of_the_file(deliver: Deliver, read: Check) -> None:
    rows = [response(region="서울"), response(region="부산"), response(region="서울"), response(region="11")]
    with pytest.raises(ViolationsError) as caught:
        read(deliver(csv(rows), rows=4))
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("unknown_code_list", "d1/data.csv, column region")
    assert violation.expected.startswith("codes of the list regions: 11, 21")
    assert violation.got == "3 of 4 values are not in it, e.g. '서울', '부산'"


@pytest.mark.parametrize("ksic", ["C26", "26", "26.0", " 26 "])
def test_codes_in_other_forms_are_no_other_list(deliver: Deliver, read: Check, ksic: str) -> None:
    assert read(deliver(csv([response(ksic=ksic)]))).frame["ksic"].to_list() == [ksic]


@pytest.mark.parametrize("ksic", ["C26110", "제조업"])
def test_codes_of_another_level_are_another_list(deliver: Deliver, read: Check, ksic: str) -> None:
    assert codes(read, deliver(csv([response(ksic=ksic)]))) == ["unknown_code_list"]


def test_all_that_is_wrong_with_a_file_is_listed_at_once(deliver: Deliver, read: Check) -> None:
    content = csv([response(region="서울", obstacle="A"), response(region="부산", obstacle="B")])
    assert codes(read, deliver(content, rows=5, entry={"sha256": "0" * 64}), wave=2024) == [
        "wrong_wave",
        "hash_differs",
        "rows_differ",
        "unknown_code_list",
        "unknown_code_list",
    ]


def test_a_file_that_is_not_there(deliver: Deliver, read: Check) -> None:
    folder = deliver(csv([response()]))
    (folder / "data.csv").unlink()
    assert codes(read, folder) == ["missing_file"]


def test_a_link_out_of_the_delivery_is_not_followed(deliver: Deliver, read: Check, tmp_path: Path) -> None:
    folder = deliver(csv([response()]))
    outside = tmp_path / "outside.csv"
    (folder / "data.csv").rename(outside)
    (folder / "data.csv").symlink_to(outside)
    with pytest.raises(ViolationsError) as caught:
        read(folder)
    [violation] = caught.value.violations
    assert (violation.code, violation.got) == ("missing_file", "a link that leads out of the folder")


def test_a_link_to_itself_is_no_file(deliver: Deliver, read: Check) -> None:
    folder = deliver(csv([response()]))
    (folder / "data.csv").unlink()
    (folder / "data.csv").symlink_to("data.csv")
    assert codes(read, folder) == ["missing_file"]


def test_a_two_row_header_with_the_contracts_synonyms(
    deliver: Deliver, read: Check, library: ContractLibrary, tmp_path: Path
) -> None:
    contract = library.deliveries["industry_response"]
    asked = contract.columns_for("list-2022")
    headers = [next(name for name in column.synonyms if " / " in name).split(" / ") for column in asked]
    values = response()
    with xlsxwriter.Workbook(tmp_path / "made.xlsx") as book:
        sheet = book.add_worksheet("자료")
        for position, (upper, lower) in enumerate(headers):
            # Merged over equal neighbours: only the first cell of a group holds its text.
            if position == 0 or headers[position - 1][0] != upper:
                sheet.write_string(0, position, upper)
            sheet.write_string(1, position, lower)
            sheet.write_string(2, position, values[asked[position].name])
    content = (tmp_path / "made.xlsx").read_bytes()
    table = read(deliver(content, file="응답.xlsx", entry={"header_rows": 2, "sheet": "자료"}))
    [row] = table.frame.to_dicts()
    assert {name: row[name] for name in values} == values
    assert table.format == "xlsx"


def test_an_spss_file_with_the_contracts_variable_names(
    deliver: Deliver, read: Check, library: ContractLibrary, tmp_path: Path
) -> None:
    contract = library.deliveries["industry_response"]
    asked = contract.columns_for("list-2022")
    answers = response(employees="1395", ksic="26")
    frame = pd.DataFrame(
        {
            column.synonyms[1]: [
                answers[column.name] if column.name == "business_number" else float(answers[column.name])
            ]
            for column in asked
        }
    )
    tech = contract.column("tech_rpa").synonyms[1]
    pyreadstat.write_sav(
        frame,
        tmp_path / "made.sav",
        column_labels={tech: "업무 자동화"},
        variable_value_labels={tech: {1: "없음", 8: "모름"}},
        missing_ranges={tech: [8, 9]},
    )
    table = read(deliver((tmp_path / "made.sav").read_bytes(), file="응답.sav"))
    [row] = table.frame.to_dicts()
    assert row["business_number"] == "120-81-47521"
    assert (row["employees"], row["ksic"], row["tech_rpa"], row["obstacle"]) == ("1395", "26", "8", "1")
    labelled = {variable.column: variable for variable in table.labels.variables}
    assert labelled["tech_rpa"].name == tech
    assert labelled["tech_rpa"].text == "업무 자동화"
    assert labelled["tech_rpa"].codes == {"1": ("없음",), "8": ("모름",)}
    assert labelled["employees"].text is None


def frame_rows() -> dict[str, list[Any]]:
    return {
        "business_number": [1208147521, 2208147520],
        "ksic": ["26", "01"],
        "region": [11, 39],
        "employees": [25, 300],
        "selection_ksic_group": ["CC", "A"],
        "selection_size_class": ["10-49", "250+"],
        "selection_region": [11, 39],
        "take_all": [False, True],
    }


def test_a_typed_frame_file(deliver: Deliver, read: Check, tmp_path: Path) -> None:
    pl.DataFrame(frame_rows()).write_parquet(tmp_path / "made.parquet")
    content = (tmp_path / "made.parquet").read_bytes()
    table = read(deliver(content, file="틀.parquet", contract="business_frame", rows=2))
    assert table.frame.select("business_number", "region", "take_all").rows() == [
        ("1208147521", "11", "false"),
        ("2208147520", "39", "true"),
    ]


def test_lists_of_codes_are_held_against_the_list(deliver: Deliver, read: Check) -> None:
    row = {
        "institution_code": "0012345",
        "institution_type": "central",
        "main_sector": "P03",
        "fields": "P03;P01",
        "region": "11",
        "employees": "120",
        "selection_main_sector": "P03",
        "selection_institution_type": "central",
        "take_all": "Y",
    }
    keys: dict[str, Any] = {"survey": "public", "contract": "institution_frame"}
    table = read(deliver(csv([row]), **keys), survey="public")
    assert table.frame["fields"].to_list() == ["P03;P01"]
    bad = deliver(csv([row | {"main_sector": "보건"}]), folder="d2", **keys)
    assert codes(read, bad, survey="public") == ["unknown_code_list"]
