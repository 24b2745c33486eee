"""A file checked before it is delivered: the same findings as a run's, and nothing left behind."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, ViolationsError
from pipelines.intake.form import FileForm
from pipelines.precheck.letter import WORDS, as_json, as_letter, as_text
from pipelines.precheck.run import FileCheck, check_file
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries

WAVE, WORKBOOK_WAVE = 2025, 2022
Check = Callable[..., FileCheck]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def library(settings: Settings) -> ContractLibrary:
    return load_library(settings.contracts_dir)


@pytest.fixture(scope="module")
def deliveries(settings: Settings, library: ContractLibrary) -> Path:
    write_deliveries(settings.home, library, seed=7, waves=(WORKBOOK_WAVE, WAVE), scale=0.02)
    return settings.deliveries_dir


@pytest.fixture
def check(settings: Settings, library: ContractLibrary) -> Check:
    def run(path: Path, **keys: object) -> FileCheck:
        return check_file(path, settings, library, **({"survey": "public", "wave": WAVE} | keys))

    return run


@pytest.fixture
def answers(deliveries: Path, tmp_path: Path) -> Path:
    """The answers of the public survey without their manifest: a CSV file in UTF-8."""
    path = tmp_path / "answers.csv"
    path.write_bytes((deliveries / f"public-{WAVE}" / f"public_response_{WAVE}.csv").read_bytes())
    return path


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").splitlines()


def with_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def without_faults(path: Path, check: Check) -> Path:
    """The file without the rows that the made-up contractor got wrong."""
    bad = {row for rows in check(path).rules["examples"].to_list() for row in rows}
    lines = lines_of(path)
    return with_lines(path, [line for number, line in enumerate(lines) if number not in bad])


def test_a_clean_file_is_accepted(check: Check, answers: Path) -> None:
    found = check(without_faults(answers, check))
    assert found.verdict == "accept"
    assert found.rows == len(lines_of(answers)) - 1
    assert (found.rows_kept_out, found.rules.height, found.violations) == (0, 0, ())


def test_rows_are_named_by_their_rule(check: Check, answers: Path) -> None:
    lines = lines_of(without_faults(answers, check))
    header = lines[0].split(",")
    at = next(place for place, name in enumerate(header) if name == "직원수")
    broken = lines[3].split(",")
    broken[at] = "-5"
    found = check(with_lines(answers, [*lines[:3], ",".join(broken), *lines[4:], lines[1]]))
    assert found.verdict == "remarks"
    assert found.rows_kept_out == 2
    told = {row["rule"]: row for row in found.rules.to_dicts()}
    assert told["employees_in_range"]["examples"] == [3]
    assert told["duplicate_row"]["examples"] == [len(lines)]
    assert {row["severity"] for row in told.values()} == {"error"}


def test_a_cut_file_is_rejected(check: Check, answers: Path) -> None:
    answers.write_bytes(answers.read_bytes()[:-40])
    found = check(answers)
    assert found.verdict == "reject"
    assert [violation.code for violation in found.violations] == ["truncated_file"]
    assert found.rows is None


def test_the_manifest_beside_a_file_counts(check: Check, deliveries: Path) -> None:
    """It says that the workbook has two header rows, and that the data are made up."""
    path = deliveries / f"industry-{WORKBOOK_WAVE}" / f"industry_response_{WORKBOOK_WAVE}.xlsx"
    found = check(path, survey="industry", wave=WORKBOOK_WAVE)
    assert found.verdict in ("accept", "remarks")
    assert found.synthetic
    assert found.rows is not None
    assert found.rows > 100
    # With one header row, as it is asked for here, the columns are not found.
    asked = check(path, survey="industry", wave=WORKBOOK_WAVE, form=FileForm(header_rows=1))
    assert asked.verdict == "reject"
    assert not asked.synthetic


def test_a_file_that_is_not_its_manifests_is_rejected(check: Check, deliveries: Path, tmp_path: Path) -> None:
    folder = tmp_path / "delivery"
    folder.mkdir()
    for path in (deliveries / f"public-{WAVE}").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    file = folder / f"public_response_{WAVE}.csv"
    file.write_bytes(file.read_bytes() + b"\n")
    assert "hash_differs" in {violation.code for violation in check(file).violations}
    assert "wrong_wave" in {violation.code for violation in check(file, wave=2021).violations}


def test_every_contract_of_a_survey(check: Check, deliveries: Path) -> None:
    for entry in json.loads((deliveries / f"public-{WAVE}" / "manifest.json").read_text("utf-8"))["files"]:
        found = check(deliveries / f"public-{WAVE}" / entry["file"])
        assert found.contract == entry["contract"]
        assert found.rows == entry["rows"]
        assert found.verdict != "reject", found.violations


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"survey": "pubic"}, "unknown_survey"),
        ({"contract": "public_respons"}, "unknown_contract"),
        ({"contract": "industry_response"}, "unknown_contract"),
    ],
)
def test_unknown_names_have_the_nearest(check: Check, answers: Path, keys: dict[str, str], code: str) -> None:
    with pytest.raises(ViolationsError) as error:
        check(answers, **keys)
    assert error.value.code == code
    assert error.value.hint


def test_waves_and_files_that_are_not_there(check: Check, answers: Path, tmp_path: Path) -> None:
    with pytest.raises(AxstatError, match="wave_before_the_first"):
        check(answers, wave=2001)
    with pytest.raises(AxstatError, match="no_such_file"):
        check(tmp_path / "nothing.csv")


def test_nothing_is_left_behind(check: Check, answers: Path, settings: Settings, monkeypatch, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    check(answers)
    assert list(scratch.iterdir()) == []
    assert not settings.warehouse_file.exists()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_three_tellings_agree(check: Check, answers: Path, settings: Settings, language: str) -> None:
    lines = lines_of(answers)
    found = check(with_lines(answers, [*lines, lines[1]]))
    text, told = as_text(found, language), json.loads(as_json(found))
    page = as_letter(found, language, template_dir=settings.annual_dir)
    assert told["verdict"] == "remarks"
    assert told["rows_kept_out"] == found.rows_kept_out
    assert pl.DataFrame(told["rules"])["rule"].to_list() == found.rules["rule"].to_list()
    for rule in found.rules.iter_rows(named=True):
        assert rule[f"message_{language}"] in text
        assert rule["rule"] in page
    for told_in in (text, page):
        assert WORDS[language]["remarks"] in told_in
        assert WORDS[language]["not_checked"] in told_in
    assert "<script" not in page
    assert "src=" not in page.replace("src:url(data:", "")


def test_a_hostile_name_stays_text(check: Check, answers: Path, settings: Settings) -> None:
    path = answers.with_name("<img src=x>.csv")
    path.write_bytes(answers.read_bytes()[:-40])
    page = as_letter(check(path), "en", template_dir=settings.annual_dir)
    assert "<img" not in page
    assert "&lt;img src=x&gt;.csv" in page


def test_both_languages_have_all_words() -> None:
    assert set(WORDS["en"]) == set(WORDS["ko"])
