import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from pipelines.errors import ViolationsError
from pipelines.intake.formats import statistical
from pipelines.intake.formats.statistical import read_statistical
from pipelines.intake.limits import Limits
from pipelines.intake.manifest import ManifestFile
from tests.unit.intake.formats.sas7bdat import write_sas7bdat

Entry = Callable[..., ManifestFile]


@pytest.fixture
def survey_file(tmp_path: Path) -> Path:
    path = tmp_path / "f.sav"
    frame = pd.DataFrame(
        {
            "BIZNO": ["120-81-47521", "1208147521", ""],
            "TECHML": [1.0, 8.0, None],
            "PROB": [0.25, 1 / 3, 1.0],
            "DAY": [date(2025, 3, 1)] * 3,
        }
    )
    pyreadstat.write_sav(
        frame,
        path,
        column_labels={"BIZNO": "사업자등록번호", "TECHML": "기계학습 활용 단계"},
        variable_value_labels={"TECHML": {1: "미활용", 8: "모름"}},
        missing_ranges={"TECHML": [8, 9]},
    )
    return path


def test_values_labels_and_user_missing_values(survey_file: Path, entry: Entry) -> None:
    table = read_statistical(survey_file, entry(), file="d1/f.sav")
    assert table.headers == ("BIZNO", "TECHML", "PROB", "DAY")
    assert table.labels == ("사업자등록번호", "기계학습 활용 단계", None, None)
    assert table.value_labels == {"TECHML": {"1": "미활용", "8": "모름"}}
    # 8 is declared missing in the file and still a value here: it is the answer 'don't know'.
    assert table.frame.rows() == [
        ("120-81-47521", "1", "0.25", "2025-03-01"),
        ("1208147521", "8", "0.3333333333333333", "2025-03-01"),
        (None, None, "1", "2025-03-01"),
    ]
    assert table.provenance.format == "spss"
    assert table.provenance.encoding == "UTF-8"


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off(survey_file: Path, entry: Entry, kept: float) -> None:
    content = survey_file.read_bytes()
    survey_file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ViolationsError) as caught:
        read_statistical(survey_file, entry(), file="d1/f.sav")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.sav")


def overwrite(path: Path, at: int, content: bytes) -> None:
    """Damage a file in one place."""
    whole = bytearray(path.read_bytes())
    whole[at : at + len(content)] = content
    path.write_bytes(whole)


def continuation(path: Path) -> int:
    """Where a variable record says that it continues the string before it: type -1 (after record type 2)."""
    return path.read_bytes().index(struct.pack("<ii", 2, -1)) + 4


def test_a_damaged_file_ends_a_process_that_reads_it_itself(survey_file: Path) -> None:
    # Why read_statistical has a process of its own; when this fails, pyreadstat has learnt to refuse such files
    overwrite(survey_file, continuation(survey_file), struct.pack("<i", 0))
    reading = "import sys, pyreadstat; pyreadstat.read_sav(sys.argv[1], output_format='dict')"
    done = subprocess.run([sys.executable, "-c", reading, str(survey_file)], capture_output=True, check=False)
    assert done.returncode not in (0, 1)


def test_a_file_that_crashes_its_reader_is_a_broken_rule(survey_file: Path, entry: Entry) -> None:
    overwrite(survey_file, continuation(survey_file), struct.pack("<i", 0))
    with pytest.raises(ViolationsError, match="crash") as caught:
        read_statistical(survey_file, entry(), file="d1/f.sav")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.sav")


def test_a_file_with_rows_that_says_it_has_none(survey_file: Path, entry: Entry) -> None:
    # Bytes 80 to 83 of the header count the rows; of compressed rows, pyreadstat's Python then runs out of its list
    frame = pd.DataFrame({"A": [1.0, 2.0, 3.0]})
    pyreadstat.write_sav(frame, survey_file, row_compress=True)
    assert struct.unpack_from("<i", survey_file.read_bytes(), 80) == (3,)
    overwrite(survey_file, 80, struct.pack("<i", 0))
    with pytest.raises(ViolationsError, match="truncated_file"):
        read_statistical(survey_file, entry(), file="d1/f.sav")


def test_an_encoding_whose_name_cannot_be_read(survey_file: Path, entry: Entry) -> None:
    overwrite(survey_file, survey_file.read_bytes().index(b"UTF-8") + 3, b"\xff")
    with pytest.raises(ViolationsError, match="wrong_encoding"):
        read_statistical(survey_file, entry(), file="d1/f.sav")


def test_an_error_of_the_program_is_not_blamed_on_the_file(
    survey_file: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistical, "STATISTICAL_PROGRAM", "pipelines.intake.formats.no_such_program")
    with pytest.raises(RuntimeError, match="no_such_program"):
        read_statistical(survey_file, entry(), file="d1/f.sav")


def test_a_file_without_rows(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.sav"
    pyreadstat.write_sav(pd.DataFrame({"A": pd.Series([], dtype="float")}), path)
    with pytest.raises(ViolationsError, match="empty_file"):
        read_statistical(path, entry(), file="f")


def stata_file(path: Path, **keys: object) -> Path:
    """Three rows; the second answer to TECH is Stata's extended missing value .a."""
    frame = pd.DataFrame(
        {"BIZNO": ["1208147521", "0012345678", ""], "TECH": [1.0, "a", None], "PROB": [0.25, 1 / 3, 1]}
    )
    frame["TECH"] = frame["TECH"].astype(object)
    pyreadstat.write_dta(
        frame,
        path,
        column_labels={"BIZNO": "사업자등록번호", "TECH": "기계학습 활용 단계"},
        variable_value_labels={"TECH": {1: "미활용"}},
        missing_user_values={"TECH": ["a"]},
        **keys,
    )
    return path


@pytest.mark.parametrize(("version", "encoding"), [(12, "utf-8"), (13, "utf-8"), (14, None), (15, None)])
def test_stata_with_labels_and_letters_for_missing_values(
    tmp_path: Path, entry: Entry, version: int, encoding: str | None
) -> None:
    path = stata_file(tmp_path / "F.DTA", version=version)
    table = read_statistical(path, entry(encoding=encoding), file="d1/F.DTA")
    assert table.headers == ("BIZNO", "TECH", "PROB")
    assert table.labels == ("사업자등록번호", "기계학습 활용 단계", None)
    assert table.value_labels == {"TECH": {"1": "미활용"}}
    assert table.frame.rows() == [
        ("1208147521", "1", "0.25"),
        ("0012345678", "a", "0.3333333333333333"),
        (None, None, "1"),
    ]
    assert table.provenance.format == "stata"


def test_an_old_stata_file_in_cp949(tmp_path: Path, entry: Entry) -> None:
    path = stata_file(tmp_path / "f.dta", version=12)
    content = path.read_bytes()
    for text in ("사업자등록번호", "기계학습 활용 단계", "미활용"):
        there, wanted = text.encode(), text.encode("cp949")
        assert there in content
        content = content.replace(there, wanted.ljust(len(there), b"\0"))
    path.write_bytes(content)
    table = read_statistical(path, entry(encoding="cp949"), file="f.dta")
    assert table.labels == ("사업자등록번호", "기계학습 활용 단계", None)
    assert table.value_labels == {"TECH": {"1": "미활용"}}


@pytest.mark.parametrize("version", [12, 13])
def test_korean_in_an_old_stata_file_must_be_declared(tmp_path: Path, entry: Entry, version: int) -> None:
    """Such a file does not say how its text is encoded; the library would read any bytes as Windows-1252."""
    path = stata_file(tmp_path / "f.dta", version=version)
    with pytest.raises(ViolationsError, match="encoding_not_declared"):
        read_statistical(path, entry(), file="f.dta")
    pyreadstat.write_dta(pd.DataFrame({"A": ["plain"]}), path, version=version)
    assert read_statistical(path, entry(), file="f.dta").frame.rows() == [("plain",)]


def test_sas_transport(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.xpt"
    pyreadstat.write_xport(
        pd.DataFrame({"BIZNO": ["0012345678", "x"], "PROB": [0.125, None]}), path, column_labels=["number", "p"]
    )
    table = read_statistical(path, entry(), file="d1/f.xpt")
    assert table.headers == ("BIZNO", "PROB")
    assert table.labels == ("number", "p")
    assert table.frame.rows() == [("0012345678", "0.125"), ("x", None)]
    assert table.provenance.format == "sas"


@pytest.mark.parametrize(("name", "program"), [("f.dta", "Stata"), ("f.xpt", "SAS")])
@pytest.mark.parametrize("content", [b"", b"<stata_dta>", b"\x00" * 4000, "사업자번호,값\n1,2\n".encode("cp949")])
def test_bytes_of_another_kind_are_a_broken_rule(
    tmp_path: Path, entry: Entry, name: str, program: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ViolationsError, match=f"complete {program} file|empty_file"):
        read_statistical(path, entry(), file=name)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_stata_file_that_was_cut_off(tmp_path: Path, entry: Entry, kept: float) -> None:
    path = stata_file(tmp_path / "f.dta")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ViolationsError, match="truncated_file"):
        read_statistical(path, entry(), file="f.dta")


def test_a_sas_data_set(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.sas7bdat"
    columns = [("BIZNO", "사업자등록번호"), ("TECH", "기술")]
    write_sas7bdat(path, columns, [["0012345678", 1.0], ["가나다", None], ["x", 1 / 3]])
    table = read_statistical(path, entry(), file="d1/f.sas7bdat")
    assert table.headers == ("BIZNO", "TECH")
    assert table.labels == ("사업자등록번호", "기술")
    assert table.frame.rows() == [("0012345678", "1"), ("가나다", None), ("x", "0.3333333333333333")]
    assert (table.provenance.format, table.provenance.encoding) == ("sas", "UTF-8")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ViolationsError, match=r"(?s)truncated_file.*a complete SAS file"):
        read_statistical(path, entry(), file="f")


@pytest.mark.parametrize("version", [114, 117])
def test_stata_of_another_country(tmp_path: Path, entry: Entry, version: int) -> None:
    # pandas writes these in Windows-1252's part that Latin-1 has.
    path = tmp_path / "f.dta"
    frame = pd.DataFrame({"name": ["Müller", "Peña"], "size": pd.Categorical(["größer", "klein"])})
    frame.to_stata(path, version=version, write_index=False, variable_labels={"name": "Raison sociale d’été"[:14]})
    with pytest.raises(ViolationsError, match="encoding_not_declared"):
        read_statistical(path, entry(), file="f")
    table = read_statistical(path, entry(encoding="windows-1252"), file="f")
    assert table.frame.rows() == [("Müller", "0"), ("Peña", "1")]
    assert table.value_labels == {"size": {"0": "größer", "1": "klein"}}


def test_an_encoding_that_no_such_file_has(survey_file: Path, entry: Entry) -> None:
    with pytest.raises(ViolationsError, match="utf-16-le, which no such file has"):
        read_statistical(survey_file, entry(encoding="utf-16-le"), file="f")


def test_a_reader_that_finds_no_end_or_needs_too_much(survey_file: Path, entry: Entry) -> None:
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*read in 0 seconds"):
        read_statistical(survey_file, entry(), file="f", limits=Limits(seconds=0))
    wide = pd.DataFrame({f"v{at}": ["x" * 250] * 4000 for at in range(40)})
    pyreadstat.write_sav(wide, survey_file)
    with pytest.raises(ViolationsError, match=r"(?s)too_large.*GiB of memory"):
        read_statistical(survey_file, entry(), file="f", limits=Limits(memory_bytes=300 * 2**20))
