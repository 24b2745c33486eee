"""The same numbers from CSV, gzip, Parquet, SPSS and Stata; what cannot be read is said."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pyreadstat
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.estimation.data import FORMATS, number_faults, open_data
from pipelines.stats.arrays import as_floats

FRAME = pl.DataFrame(
    {"code": ["a", "b", None], "whole": [1, 2, None], "part": [0.5, None, -9.0], "unused": [1.0, 2.0, 3.0]}
)


def written(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith((".csv", ".tsv")):
        FRAME.write_csv(path, separator="\t" if name.endswith(".tsv") else ",", null_value="NA")
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(FRAME.write_csv(null_value="NA").encode()))
    elif name.endswith(".parquet"):
        FRAME.write_parquet(path)
    else:
        write = pyreadstat.write_dta if name.endswith(".dta") else pyreadstat.write_sav
        write(FRAME.to_pandas(), str(path))
    return path


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.csv.gz", "d.parquet", "d.sav", "d.dta"])
def test_every_format_gives_the_same(tmp_path: Path, name: str) -> None:
    file = open_data(written(tmp_path, name), name=name)
    assert file.columns == tuple(FRAME.columns)
    frame = file.read(["part", "code", "whole"], missing=["", "NA", "-9"])
    assert set(frame.columns) == {"part", "code", "whole"}
    assert frame["code"].to_list() == ["a", "b", None]
    assert frame["whole"].cast(pl.Float64).to_list() == [1, 2, None]
    assert np.array_equal(as_floats(frame["part"]), [0.5, np.nan, np.nan], equal_nan=True)


def test_text_becomes_numbers_only_where_all_of_it_is(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(
        "a,b,c,d,e,f,g\n01, 1.5,TRUE,12345678901234567890,x,,1e3\n2,-2,FALSE,22345678901234567890,7,,nan\n",
        encoding="utf-8",
    )
    frame = open_data(path, name="d.csv").read(list("abcdefg"), missing=[])
    assert frame["a"].to_list() == [1, 2]
    assert frame["b"].to_list() == [1.5, -2.0]
    assert frame["c"].to_list() == [True, False]
    assert frame["d"].to_list() == ["12345678901234567890", "22345678901234567890"]
    assert frame["e"].to_list() == ["x", "7"]
    assert frame["f"].null_count() == 2
    assert frame["g"].to_list() == [1000.0, None]


def test_korean_text_in_cp949(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes("지역,값\n제주,1\n".encode("cp949"))
    file = open_data(path, name="d.csv")
    assert file.read(["지역"], missing=[])["지역"].to_list() == ["제주"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("none.csv", None, "file_not_found"),
        ("d.xlsx", b"", "unknown_format"),
        ("d.parquet.gz", b"", "unknown_format"),
        ("d.csv", b"", "file_unreadable"),
        ("d.csv.gz", b"not gzip", "file_unreadable"),
        ("d.parquet", b"PAR1 no", "file_unreadable"),
        ("d.sav", b"$FL2 no", "file_unreadable"),
        ("d.dta", b"<stata", "file_unreadable"),
        ("d.csv", b"\xff\xfe\xfd\n", "file_unreadable"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AxstatError) as raised:
        open_data(tmp_path / name, name=name).read(["a"], missing=[])
    assert raised.value.code == code
    assert name in raised.value.where


@pytest.mark.parametrize(
    ("content", "rows", "got"),
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8,9\n", (2, 3), "2, 4 cells in 2 row(s)"),
        # A line of blanks counts as a row, so that the rows are those of the messages after this one
        ('a,b,c\r\n"1\n,",2,3\r\n\r\n4,5,6,\r\n', (3,), "4 cells in 1 row(s)"),
        ("a\tb\tc\n1\t2\t3\n4\t5", (2,), "2 cells in 1 row(s)"),
    ],
)
def test_rows_wider_or_narrower_than_the_header_are_named(
    tmp_path: Path, content: str, rows: tuple[int, ...], got: str
) -> None:
    name = "d.tsv" if "\t" in content else "d.csv"
    (tmp_path / name).write_bytes(content.encode())
    with pytest.raises(ViolationsError) as raised:
        open_data(tmp_path / name, name=name).read(["a"], missing=[])
    (fault,) = raised.value.violations
    assert (fault.code, fault.rows, fault.got) == ("ragged_rows", rows, got)


def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"a,b\r\n1,2\r\n\r\n\r\n")
    assert open_data(tmp_path / "d.csv", name="d.csv").read(["a", "b"], missing=[]).rows() == [(1, 2)]


def test_a_name_of_two_columns_is_refused_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("\ufeffa,b,b\n1,2,3\n", encoding="utf-8")
    file = open_data(tmp_path / "d.csv", name="d.csv")
    assert file.read(["a"], missing=[])["a"].to_list() == [1]
    with pytest.raises(ViolationsError, match="column 'b'") as raised:
        file.read(["a", "b"], missing=[])
    assert raised.value.code == "column_twice"


def test_another_encoding_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes("지역,값\n제주,1\n".encode("utf-16"))
    with pytest.raises(AxstatError, match="save the file as UTF-8"):
        open_data(tmp_path / "d.csv", name="d.csv")


def test_rows_that_are_no_numbers_are_named() -> None:
    (fault,) = number_faults(pl.Series("y", ["1", "x", None, "z"]), place="estimates[0].measure")
    assert fault.rows == (2, 4)
    assert "'x', 'z'" in fault.got
    assert number_faults(pl.Series("y", [1.0, np.inf, None]), place="p")[0].rows == (2,)
    assert number_faults(pl.Series("y", [1.0, None]), place="p") == []


def test_every_ending_has_a_test() -> None:
    assert set(FORMATS) == {".csv", ".tsv", ".txt", ".parquet", ".pq", ".sav", ".zsav", ".dta"}
