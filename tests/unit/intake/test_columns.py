import unicodedata

import pytest

from pipelines.contracts.models import Column, TableContract
from pipelines.errors import ViolationsError
from pipelines.intake.columns import ColumnMap, map_columns


def column(name: str, *synonyms: str, versions: tuple[str, ...] = ()) -> Column:
    return Column(
        name=name,
        label_ko=name,
        label_en=name,
        description=name,
        type="VARCHAR",
        synonyms=synonyms,
        question_versions=versions,
    )


CONTRACT = TableContract(
    name="c",
    version="1",
    title_ko="c",
    title_en="c",
    description="c",
    grain="one row a unit",
    columns=(
        column("business_number", "사업자등록번호", "BIZNO", "기업 정보 / 사업자등록번호"),
        column("employees", "종사자수", "EMP", "기업 정보 / 종사자수"),
        column("ai_use", "AI 이용", versions=("yn-2019",)),
    ),
    key=("business_number",),
    owner="o",
    source="s",
    licence="l",
)


def mapped(headers: list[str], labels: list[str | None] | None = None, version: str = "list-2022") -> ColumnMap:
    return map_columns(headers, labels or [None] * len(headers), CONTRACT, question_version=version, file="d1/f")


@pytest.mark.parametrize(
    "headers",
    [
        ["business_number", "employees"],
        ["사업자 등록번호", "종사자수 "],
        ["BizNo", "emp"],
        [unicodedata.normalize("NFD", "사업자등록번호"), "종사자\n수"],
        ["기업 정보 / 사업자등록번호", "기업정보 / 종사자수"],
        ["업체 / 사업자등록번호", "업체 / 종사자수"],
        ["ＢＩＺＮＯ", "ＥＭＰ"],
    ],
    ids=["names", "blanks", "case", "decomposed", "two_rows", "other_upper_row", "full_width"],
)
def test_columns_are_known_by_name_or_synonym(headers: list[str]) -> None:
    assert mapped(headers) == ColumnMap(positions={"business_number": 0, "employees": 1}, extra={})


def test_columns_are_known_by_variable_label() -> None:
    found = mapped(["V1", "V2", "V3"], ["사업자등록번호", "종사자수", "메모"])
    assert found == ColumnMap(positions={"business_number": 0, "employees": 1}, extra={2: "V3"})


def test_a_whole_header_counts_before_its_last_part() -> None:
    found = mapped(["사업자등록번호", "전년 / 종사자수", "종사자수"])
    assert found.positions == {"business_number": 0, "employees": 2}
    assert found.extra == {1: "전년 / 종사자수"}


def test_a_last_part_that_stands_twice_is_not_chosen_from() -> None:
    with pytest.raises(ViolationsError, match="duplicate_column"):
        mapped(["사업자등록번호", "전년 / 종사자수", "금년 / 종사자수"])


def test_columns_of_another_question_version_may_lack() -> None:
    headers = ["BIZNO", "EMP"]
    assert "ai_use" not in mapped(headers).positions
    with pytest.raises(ViolationsError, match="column ai_use"):
        mapped(headers, version="yn-2019")


def test_extra_columns_get_names_of_their_own() -> None:
    found = mapped(["BIZNO", "EMP", "memo", "", "memo"])
    assert found.extra == {2: "memo", 3: "column (4)", 4: "memo (5)"}


def test_all_that_is_wrong_is_listed_with_the_nearest_header() -> None:
    with pytest.raises(ViolationsError) as caught:
        mapped(["종사자수", "EMP", "사업자번호"], version="yn-2019")
    assert [(one.code, one.where) for one in caught.value.violations] == [
        ("duplicate_column", "d1/f, column employees"),
        ("missing_column", "d1/f, column business_number"),
        ("missing_column", "d1/f, column ai_use"),
    ]
    double, near, far = caught.value.violations
    assert double.got == "2 columns: '종사자수' (column 1), 'EMP' (column 2)"
    assert near.got == "no such header; the nearest is '사업자번호'"
    assert far.got == "no such header"


def test_a_file_of_another_kind_gets_one_message() -> None:
    with pytest.raises(ViolationsError) as caught:
        mapped(["BIZNO;EMP"])
    [violation] = caught.value.violations
    assert violation.code == "no_known_column"
    assert "'BIZNO;EMP'" in violation.got
    assert "delimiter" in violation.hint
