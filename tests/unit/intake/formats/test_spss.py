from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

from pipelines.errors import ViolationsError
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


def test_a_file_without_rows(tmp_path: Path, entry: Entry) -> None:
    path = tmp_path / "f.sav"
    pyreadstat.write_sav(pd.DataFrame({"A": pd.Series([], dtype="float")}), path)
    with pytest.raises(ViolationsError, match="empty_file"):
        read_spss(path, entry(), file="f")
