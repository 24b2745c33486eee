from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.formats.parquet import read_parquet
from pipelines.intake.limits import Limits
from pipelines.intake.manifest import ManifestFile

Entry = Callable[..., ManifestFile]


def test_values_as_text(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame(
        {"번호": [1208147521, None], "전수": [True, False], "확률": [0.1, 1.0], "이름": ["가", ""]}
    ).write_parquet(path)
    table = read_parquet(path, entry(), file="d1/f.parquet")
    assert table.headers == ("번호", "전수", "확률", "이름")
    assert table.frame.rows() == [("1208147521", "true", "0.1", "가"), (None, "false", "1", None)]
    assert table.provenance.format == "parquet"


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_off(tmp_path: Path, entry: Entry, kept: float) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": range(100)}).write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ViolationsError) as caught:
        read_parquet(path, entry(), file="d1/f.parquet")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.parquet")


def test_damage_inside_a_whole_file(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": [f"value {row}" for row in range(5000)]}).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[30:230] = b"\xff" * 200
    path.write_bytes(bytes(content))
    with pytest.raises(ViolationsError, match="truncated_file"):
        read_parquet(path, entry(), file="f")


def test_a_name_that_stands_twice_is_left_to_the_column_map(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    table = read_parquet(path, entry(), file="f")
    assert (table.headers, table.frame.rows()) == (("a", "a"), [("1", "2")])


def test_nested_columns_are_named(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": [1], "b": [["P01"]]}).write_parquet(path)
    with pytest.raises(ViolationsError, match=r"(?s)column_type.*'b' \(column 2\): List\(String\)"):
        read_parquet(path, entry(), file="f")


def test_a_file_without_rows(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    pl.DataFrame({"a": []}, schema={"a": pl.String}).write_parquet(path)
    with pytest.raises(ViolationsError, match="empty_file"):
        read_parquet(path, entry(), file="f")


def dictionary_file(path: Path, *, groups: int, rows: int, text: str) -> None:
    """A small file of many rows: one text, as a dictionary of one entry."""
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])})
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        for _ in range(groups):
            writer.write_table(table)


def test_rows_beyond_the_limit_are_refused_by_the_metadata(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    dictionary_file(path, groups=6, rows=1_000_000, text="x")
    assert path.stat().st_size < 20_000
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*at most 5,000,000 rows.*6,000,000 rows"):
        read_parquet(path, entry(), file="f")


def test_rows_that_need_more_memory_than_the_limit(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.parquet"
    dictionary_file(path, groups=4, rows=1_000_000, text="x" * 500)
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*1 GiB of memory"):
        read_parquet(path, entry(), file="f", limits=Limits(memory_bytes=2**30))
