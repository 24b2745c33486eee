"""`axstat codebook` and what `axstat check` says of codebooks, on SPSS files of the synthetic country."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyreadstat
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, ViolationsError
from pipelines.precheck.codebook import CodebookReport
from pipelines.precheck.codebook_run import check_codebook
from pipelines.precheck.codebook_told import as_json, as_page, as_text, remarks
from pipelines.precheck.codebook_words import WORDS
from pipelines.precheck.run import check_file
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries

WAVE = 2023
LABEL = "기계학습(머신러닝) 기반 데이터 분석 이용단계"

Labelled = Callable[..., Path]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def library(settings: Settings) -> ContractLibrary:
    return load_library(settings.contracts_dir)


@pytest.fixture(scope="module")
def sent(settings: Settings, library: ContractLibrary) -> Path:
    """The answers of the industry survey: an SPSS file with labels, and its manifest beside it."""
    write_deliveries(settings.home, library, seed=7, waves=(WAVE,), scale=0.02)
    return settings.deliveries_dir / f"industry-{WAVE}" / f"industry_response_{WAVE}.sav"


@pytest.fixture
def labelled(sent: Path, tmp_path: Path) -> Labelled:
    """Last year's file with other names, labels and codes."""

    def write(
        *,
        labels: Mapping[str, str] | None = None,
        codes: Mapping[str, Mapping[float, str]] | None = None,
        names: Mapping[str, str] | None = None,
        without: str | None = None,
    ) -> Path:
        frame, meta = pyreadstat.read_sav(sent, user_missing=True)
        frame = frame.drop(columns=[without] if without else [])
        texts = dict(zip(meta.column_names, meta.column_labels, strict=True)) | dict(labels or {})
        values: dict[str, Any] = {**meta.variable_value_labels, **(codes or {})}
        new = dict(names or {})
        path = tmp_path / "answers.sav"
        pyreadstat.write_sav(
            frame.rename(columns=new),
            path,
            column_labels={new.get(name, name): texts[name] for name in frame.columns},
            variable_value_labels={new.get(name, name): value for name, value in values.items() if name in frame},
        )
        return path

    return write


@pytest.fixture
def compared(settings: Settings, library: ContractLibrary, sent: Path) -> Callable[..., CodebookReport]:
    def run(path: Path, other: str | None = str(sent)) -> CodebookReport:
        return check_codebook(path, settings, library, survey="industry", wave=WAVE + 1, other=other)

    return run


def grave(report: CodebookReport) -> list[tuple[str, str, str | None, str | None]]:
    [comparison] = report.comparisons
    return [(d.kind, d.name, d.before, d.after) for d in comparison.differences if d.gravity != "note"]


STAGES = {1.0: "이용하지 않음", 2.0: "도입 계획 있음", 3.0: "시범 운영 중", 4.0: "운영 중", 5.0: "전사 확산"}


def test_the_same_file_has_no_differences(compared, labelled: Labelled) -> None:
    found = compared(labelled())
    assert found.verdict == "same"
    assert found.comparisons[0].differences == ()
    assert found.comparisons[0].texts == 12


def test_a_renamed_variable(compared, labelled: Labelled) -> None:
    found = compared(labelled(names={"STG_ML": "Q7_1"}))
    assert grave(found) == [("renamed", "Q7_1", "STG_ML", "Q7_1")]
    assert found.verdict == "look"
    assert "synonyms" in as_text(found, "en")
    # One of the names that the contract knows needs nobody
    found = compared(labelled(names={"STG_ML": "tech_ml"}))
    assert (found.verdict, grave(found)) == ("same", [])


def test_a_reworded_question(compared, labelled: Labelled) -> None:
    found = compared(labelled(labels={"STG_ML": "기계학습(머신러닝) 기반 데이터 분석 활용단계"}))
    assert grave(found) == [("question_changed", "STG_ML", LABEL, "기계학습(머신러닝) 기반 데이터 분석 활용단계")]
    assert found.verdict == "serious"
    assert "question_versions.yaml" in as_text(found, "en")
    assert "question_versions.yaml" in as_text(found, "ko")
    page = as_page([found], "ko", template_dir=Path(__file__).parents[3] / "reports" / "annual")
    assert "<del>이용단계</del>" in page
    assert "<ins>활용단계</ins>" in page
    assert '<html lang="ko">' in page
    assert not re.search(r'(?:src|href)="', page), "the page must need nothing beside it"


def test_swapped_codes(compared, labelled: Labelled) -> None:
    found = compared(
        labelled(codes={"STG_ML": STAGES | {4.0: STAGES[5.0], 5.0: STAGES[4.0], 8.0: "모름", 9.0: "거절"}})
    )
    kinds = {(d.kind, d.code) for d in found.comparisons[0].differences if d.gravity == "serious"}
    assert {("code_reused", "4"), ("code_reused", "5")} <= kinds
    assert found.verdict == "serious"
    # Against the contract as well, so that a first wave is not taken with swapped codes
    against_contract = compared(labelled(codes={"STG_ML": STAGES | {4.0: STAGES[5.0], 5.0: STAGES[4.0]}}), "contract")
    assert [row[:2] for row in grave(against_contract)] == [("code_reused", "STG_ML")] * 2


def test_a_new_code(compared, labelled: Labelled) -> None:
    found = compared(labelled(codes={"STG_ML": STAGES | {6.0: "해외에서만 운영"}}), "contract")
    assert grave(found) == [("code_added", "STG_ML", None, "해외에서만 운영")]


def test_a_vanished_variable(compared, labelled: Labelled) -> None:
    found = compared(labelled(without="STG_RPA"))
    assert [row[:2] for row in grave(found)] == [("vanished", "STG_RPA")]


def with_codebook(folder: Path, data: Path, codebook: str, **keys: object) -> Path:
    """A delivery of the answers with the contractor's codebook beside it."""
    folder.mkdir()
    (folder / data.name).write_bytes(data.read_bytes())
    (folder / "codebook.csv").write_text(codebook, encoding="utf-8")
    manifest = json.loads((data.parent / "manifest.json").read_text("utf-8"))
    [entry] = [entry for entry in manifest["files"] if entry["file"] == data.name]
    entry["codebook"] = {
        "file": "codebook.csv",
        "sha256": hashlib.sha256((folder / "codebook.csv").read_bytes()).hexdigest(),
    } | keys
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": [entry]}), encoding="utf-8")
    return folder / data.name


CODEBOOK = "변수명,문항,값,값라벨\nSTG_ML,기계학습을 이용합니까?,1,전사 확산\n,,5,이용하지 않음\nSTG_XX,다른 기술,,\n"


def test_a_codebook_that_contradicts_the_files_own_labels(
    settings: Settings, library: ContractLibrary, sent: Path, tmp_path: Path
) -> None:
    path = with_codebook(tmp_path / "d", sent, CODEBOOK)
    report = check_codebook(path, settings, library, survey="industry", wave=WAVE)
    assert [one.old.kind for one in report.comparisons] == ["codebook", "contract"]
    own = report.comparisons[0]
    assert own.old.source == "d/codebook.csv"
    told = {(d.kind, d.gravity, d.name, d.code) for d in own.differences}
    assert ("code_reused", "serious", "STG_ML", "1") in told
    assert ("code_reused", "serious", "STG_ML", "5") in told
    assert ("vanished", "look", "STG_XX", None) in told
    # The question comes from the codebook, codes and label are the file's own
    [variable] = [one for one in report.whole.variables if one.name == "STG_ML"]
    assert variable.questions == ("기계학습을 이용합니까?",)
    assert variable.texts == (LABEL,)
    assert variable.codes["1"] == (STAGES[1.0],)

    check = check_file(path, settings, library, survey="industry", wave=WAVE)
    assert check.verdict == "remarks"
    [first, *_] = [one for one in check.warnings if one.code == "code_reused"]
    assert "STG_ML, code 1" in first.where
    assert "'전사 확산', as d/codebook.csv" in first.expected
    assert first.got == "'이용하지 않음'"


def test_a_codebook_that_is_not_the_announced_file_is_refused(
    settings: Settings, library: ContractLibrary, sent: Path, tmp_path: Path
) -> None:
    path = with_codebook(tmp_path / "d", sent, CODEBOOK, sha256="0" * 64)
    found = check_file(path, settings, library, survey="industry", wave=WAVE)
    assert found.verdict == "reject"
    assert [violation.code for violation in found.violations] == ["hash_differs"]
    assert f"{path.name}, codebook codebook.csv" in found.violations[0].where
    (tmp_path / "d" / "codebook.csv").unlink()
    with pytest.raises(ViolationsError, match="missing_file"):
        check_codebook(path, settings, library, survey="industry", wave=WAVE)


def test_a_codebook_file_by_itself_against_last_years(compared, tmp_path: Path) -> None:
    last, new = tmp_path / "last.csv", tmp_path / "new.csv"
    last.write_text(CODEBOOK, encoding="utf-8")
    new.write_text(CODEBOOK.replace("이용합니까", "이용할 계획입니까"), encoding="utf-8")
    assert [row[:2] for row in grave(compared(new, str(last)))] == [("question_changed", "STG_ML")]


def test_what_cannot_be_compared_is_said(compared, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("STG_ML,BIZNO\n1,1208147521\n", encoding="utf-8")
    assert WORDS["en"]["no_texts"] in as_text(compared(bare), "en")
    with pytest.raises(AxstatError, match="no_earlier_wave"):
        compared(bare, "last")
    with pytest.raises(AxstatError, match="no_such_file"):
        compared(bare, str(tmp_path / "none.csv"))


def test_both_languages_say_the_same_things() -> None:
    assert WORDS["en"].keys() == WORDS["ko"].keys()
    assert all(word for words in WORDS.values() for word in words.values())


def test_json_and_remarks_hold_all_of_it(compared, labelled: Labelled) -> None:
    found = compared(labelled(labels={"STG_ML": "<b>다른 문항</b>"}))
    plain = json.loads(as_json(found))
    [difference] = plain["comparisons"][0]["differences"]
    assert difference["kind"] == "question_changed"
    assert difference["action_ko"] == WORDS["ko"]["do_question_changed"]
    [remark] = remarks(found)
    assert remark.where == "answers.sav, variable STG_ML"
    assert "&lt;b&gt;" in as_page([found], "en", template_dir=Path(__file__).parents[3] / "reports" / "annual")


@pytest.mark.parametrize(
    ("change", "code"), [({}, 0), ({"without": "STG_RPA"}, 3), ({"labels": {"STG_ML": "다른 문항"}}, 4)]
)
def test_the_command_says_by_its_exit_code_how_grave_it_is(
    change: dict[str, Any], code: int, labelled: Labelled, sent: Path, settings: Settings, tmp_path: Path
) -> None:
    arguments = ["codebook", str(labelled(**change)), "--survey", "industry", "--wave", "2024", "--against", str(sent)]
    out = ["--language", "ko", "--html", str(tmp_path / "page.html"), "--json", str(tmp_path / "all.json")]
    found = CliRunner().invoke(app, [*arguments, *out], env={"AXSTAT_HOME": str(settings.home)})
    assert found.exit_code == code, found.output
    assert WORDS["ko"][{0: "same", 3: "look", 4: "serious"}[code]] in found.output
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "all.json").read_text("utf-8"))["wave"] == 2024
