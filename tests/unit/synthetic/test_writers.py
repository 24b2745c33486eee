from pathlib import Path

import fastexcel
import polars as pl
import pyreadstat
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.parameters import Form
from pipelines.synthetic.writers import ksic_sections, write_table

ROWS = pl.DataFrame(
    {
        "business_number": ["1010000017", "99900999990"],
        "ksic": ["01", "26"],
        "region": ["11", "39"],
        "employees": [12345, -60],
        "tech_ml": ["1", "8"],
        "tech_text": [None, "9"],
        "obstacle": ["01", None],
    },
    schema_overrides={"tech_text": pl.String, "obstacle": pl.String},
)


def _write(library: ContractLibrary, folder: Path, **form: object) -> Path:
    written = write_table(
        ROWS,
        library.deliveries["industry_response"],
        Form.model_validate({"ksic": "padded", "codes": "padded", **form}),
        folder,
        stem="answers",
        sections=ksic_sections(library),
    )
    assert written.rows == 2
    return folder / written.name


def test_cp949_text_as_people_write_it(library: ContractLibrary, tmp_path: Path) -> None:
    path = _write(
        library,
        tmp_path,
        format="csv",
        encoding="cp949",
        header="korean",
        ksic="letter",
        thousands=True,
        hyphens=True,
    )
    lines = path.read_bytes().decode("cp949").split("\r\n")
    assert lines[0].startswith("사업자등록번호,산업분류코드,시도코드,종사자수,기계학습 이용단계")
    assert lines[1] == '101-00-00017,A01,11,"12,345",1,,01'
    assert lines[2] == "999-00-999990,C26,39,-60,8,9,"
    with pytest.raises(UnicodeDecodeError):
        path.read_bytes().decode("utf-8")


def test_text_with_byte_order_mark(library: ContractLibrary, tmp_path: Path) -> None:
    path = _write(library, tmp_path, format="csv", encoding="utf-8-sig", header="korean")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    back = pl.read_csv(path, infer_schema=False)
    assert back["사업자등록번호"].to_list() == ROWS["business_number"].to_list()
    assert back["산업분류코드"].to_list() == ["01", "26"]


def test_workbook_with_merged_headers(library: ContractLibrary, tmp_path: Path) -> None:
    path = _write(
        library,
        tmp_path,
        format="xlsx",
        header="korean_two_rows",
        ksic="number",
        codes="number",
        hyphens=True,
    )
    reader = fastexcel.read_excel(path)
    assert reader.sheet_names == ["자료"]
    back = reader.load_sheet(0, header_row=None, dtypes="string").to_polars()
    top, below = back.row(0), back.row(1)
    # A merged cell holds its text in its first cell only.
    assert top[:4] == ("기업 정보", None, None, None)
    assert below[:4] == ("사업자등록번호", "산업분류코드", "시도코드", "종사자수")
    assert top[4] == "AI 기술 이용단계"
    assert top[5] is None
    # Numbers have lost their leading zeros.
    assert back.row(2) == ("101-00-00017", "1", "11", "12345", "1", None, "1")


def test_spss_file_with_labels(library: ContractLibrary, tmp_path: Path) -> None:
    path = _write(library, tmp_path, format="sav", header="variable", ksic="number", codes="number")
    back, meta = pyreadstat.read_sav(path, output_format="polars")
    assert back.columns == ["BIZNO", "KSIC", "REGION", "EMP", "STG_ML", "STG_TEXT", "OBSTACLE"]
    assert back["KSIC"].to_list() == [1.0, 26.0]
    assert back["BIZNO"].to_list() == ROWS["business_number"].to_list()
    # Don't know and refused stay values: a reader that drops user-missing codes must not lose them.
    assert back["STG_ML"].to_list() == [1.0, 8.0]
    contract = library.deliveries["industry_response"]
    assert meta.column_names_to_labels["STG_ML"] == contract.column("tech_ml").label_ko
    labels = {code.value: code.label_ko for code in contract.column("tech_ml").codes}
    assert {f"{value:.0f}": label for value, label in meta.variable_value_labels["STG_ML"].items()} == labels
    assert {"8", "9"} <= set(labels)


def test_parquet(library: ContractLibrary, tmp_path: Path) -> None:
    path = _write(library, tmp_path, format="parquet", header="canonical")
    back = pl.read_parquet(path)
    assert back.equals(ROWS)


@pytest.mark.parametrize(
    "form",
    [
        {"format": "csv", "encoding": "cp949", "header": "korean"},
        {"format": "xlsx", "header": "korean_two_rows"},
        {"format": "sav", "header": "variable"},
        {"format": "parquet", "header": "canonical"},
    ],
)
def test_the_same_table_gives_the_same_bytes(
    library: ContractLibrary, tmp_path: Path, form: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    contents = []
    for folder, zone in zip(folders, ("UTC", "Asia/Seoul"), strict=True):
        # Another time zone stands for another moment: nothing of the clock may reach the file.
        monkeypatch.setenv("TZ", zone)
        folder.mkdir()
        contents.append(_write(library, folder, **form).read_bytes())
    assert contents[0] == contents[1]


def test_an_unknown_division_is_written_all_the_same(library: ContractLibrary, tmp_path: Path) -> None:
    path = write_table(
        ROWS.with_columns(ksic=pl.lit("00")),
        library.deliveries["industry_response"],
        Form(format="csv", encoding="utf-8-sig", header="korean", ksic="letter", codes="padded"),
        tmp_path,
        stem="bad",
        sections=ksic_sections(library),
    )
    assert pl.read_csv(tmp_path / path.name, infer_schema=False)["산업분류코드"].to_list() == ["Z00", "Z00"]
