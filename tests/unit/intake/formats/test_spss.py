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
from pipelines.intake.formats import spss
from pipelines.intake.formats.spss import read_spss
from pipelines.intake.manifest import ManifestFile

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
    table = read_spss(survey_file, entry(), file="d1/f.sav")
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
        read_spss(survey_file, entry(), file="d1/f.sav")
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
    # Why read_spss has a process of its own; when this fails, pyreadstat has learnt to refuse such files
    overwrite(survey_file, continuation(survey_file), struct.pack("<i", 0))
    reading = "import sys, pyreadstat; pyreadstat.read_sav(sys.argv[1], output_format='dict')"
    done = subprocess.run([sys.executable, "-c", reading, str(survey_file)], capture_output=True, check=False)
    assert done.returncode not in (0, 1)


def test_a_file_that_crashes_its_reader_is_a_broken_rule(survey_file: Path, entry: Entry) -> None:
    overwrite(survey_file, continuation(survey_file), struct.pack("<i", 0))
    with pytest.raises(ViolationsError, match="crash") as caught:
        read_spss(survey_file, entry(), file="d1/f.sav")
    [violation] = caught.value.violations
    assert (violation.code, violation.where) == ("truncated_file", "d1/f.sav")


def test_a_file_with_rows_that_says_it_has_none(survey_file: Path, entry: Entry) -> None:
    # Bytes 80 to 83 of the header count the rows; of compressed rows, pyreadstat's Python then runs out of its list
    frame = pd.DataFrame({"A": [1.0, 2.0, 3.0]})
    pyreadstat.write_sav(frame, survey_file, row_compress=True)
    assert struct.unpack_from("<i", survey_file.read_bytes(), 80) == (3,)
    overwrite(survey_file, 80, struct.pack("<i", 0))
    with pytest.raises(ViolationsError, match="truncated_file"):
        read_spss(survey_file, entry(), file="d1/f.sav")


def test_an_encoding_whose_name_cannot_be_read(survey_file: Path, entry: Entry) -> None:
    overwrite(survey_file, survey_file.read_bytes().index(b"UTF-8") + 3, b"\xff")
    with pytest.raises(ViolationsError, match="wrong_encoding"):
        read_spss(survey_file, entry(), file="d1/f.sav")


def test_an_error_of_the_program_is_not_blamed_on_the_file(
    survey_file: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spss, "_READER", "pipelines.intake.formats.no_such_program")
    with pytest.raises(RuntimeError, match="no_such_program"):
        read_spss(survey_file, entry(), file="d1/f.sav")


def test_a_file_without_rows(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.sav"
    pyreadstat.write_sav(pd.DataFrame({"A": pd.Series([], dtype="float")}), path)
    with pytest.raises(ViolationsError, match="empty_file"):
        read_spss(path, entry(), file="f")
