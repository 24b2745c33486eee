"""A file checked before it is delivered: the same findings as a run's, and nothing left behind."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError, ViolationsError
from pipelines.intake.delivery import read_delivery_file
from pipelines.intake.form import FileForm
from pipelines.intake.manifest import SelectedFile, read_manifest
from pipelines.intake.register import file_register
from pipelines.precheck.letter import WORDS, as_json, as_letter, as_text
from pipelines.precheck.run import FileCheck, check_file
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reference import load_reference

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
    """The file without the rows that the made-up contractor got wrong, or that look odd."""
    while bad := {row for rows in check(path).rules["examples"].to_list() for row in rows}:
        lines = lines_of(path)
        with_lines(path, [line for number, line in enumerate(lines) if number not in bad])
    return path


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


def staged(settings: Settings, library: ContractLibrary, deliveries: Path, home: Path, **files: int) -> Settings:
    """A data home whose warehouse has these files of the public survey (contract -> wave) staged."""
    there = replace(settings, home=home)
    warehouse = Warehouse(there.warehouse_file, SqlCatalogue(settings.sql_dir), library)
    with warehouse.session() as session:
        load_reference(session, library, last_wave=WAVE)
        for contract, wave in files.items():
            manifest = read_manifest(deliveries / f"public-{wave}")
            [entry] = [entry for entry in manifest.files if entry.contract == contract]
            table = read_delivery_file(manifest, entry, library.deliveries[contract], survey="public", wave=wave)
            file = SelectedFile(manifest, entry, status="current", reason=None)
            session.append("meta.delivery_file", file_register([file]))
            session.append(f"raw.{contract}", table.frame.filter(table.frame["row_number"] > 20))
            typed = session.query(f"staging.{contract}", survey="public", wave=wave).drop("identifier")
            session.append(f"staging.{contract}", typed)
    return there


def skipped(found: FileCheck) -> dict[str, tuple[str, ...]]:
    return {rule.rule: rule.missing for rule in found.not_checked}


def test_without_a_warehouse_the_rules_that_need_one_are_named(check: Check, answers: Path) -> None:
    found = check(answers)
    assert {("frame",), ("sample",), ("previous",)} == {*skipped(found).values()}
    assert skipped(found)["not_on_frame"] == ("frame",)
    text = as_text(found, "en")
    assert "[not_on_frame] The unit is not on the wave's frame. Needs: the wave's frame" in text
    assert "이전 차수의 같은 파일" in as_text(found, "ko")
    told = json.loads(as_json(found))["not_checked"]
    assert ("not_on_frame", ["frame"]) in [(rule["rule"], rule["missing"]) for rule in told]


def test_a_file_is_held_against_what_the_data_home_knows(
    answers: Path, settings: Settings, library: ContractLibrary, deliveries: Path, tmp_path: Path
) -> None:
    """The staged frame and sample lack their first 20 units, who are strangers then."""
    there = staged(settings, library, deliveries, tmp_path / "home", institution_frame=WAVE, public_sample=WAVE)
    before = there.warehouse_file.read_bytes()
    found = check_file(answers, there, library, survey="public", wave=WAVE)
    told = {row["rule"]: row for row in found.rules.to_dicts()}
    assert {"not_selected", "not_on_frame"} <= told.keys()
    assert told["not_on_frame"]["severity"] == "fail_file"
    assert set(skipped(found).values()) == {("previous",)}
    assert found.home_problem is None
    assert there.warehouse_file.read_bytes() == before


def test_a_file_of_strangers_is_rejected(
    answers: Path, settings: Settings, library: ContractLibrary, deliveries: Path, tmp_path: Path
) -> None:
    there = staged(settings, library, deliveries, tmp_path / "home", public_sample=WAVE)
    header, *lines = lines_of(answers)
    strangers = [f"99{number:05}{line[line.index(',') :]}" for number, line in enumerate(lines)]
    found = check_file(with_lines(answers, [header, *strangers]), there, library, survey="public", wave=WAVE)
    assert found.verdict == "reject"
    [violation] = found.violations
    assert (violation.code, violation.got) == ("not_selected", f"{len(lines)} of {len(lines)} rows")
    assert violation.hint in as_letter(found, "en", template_dir=settings.annual_dir)
    [rule] = [rule for rule in library.deliveries["public_response"].sql_rules if rule.id == "not_selected"]
    for told in (as_text(found, "ko"), words_of(as_letter(found, "ko", template_dir=settings.annual_dir))):
        assert "[not_selected] answers.csv" in told
        assert rule.message_ko in told
        assert f"조치: {rule.action_ko}" in told
        assert rule.action_en not in told
        assert without_english(held(told)), told


def test_the_last_wave_is_looked_up(
    answers: Path, settings: Settings, library: ContractLibrary, deliveries: Path, tmp_path: Path
) -> None:
    there = staged(settings, library, deliveries, tmp_path / "home", public_response=WORKBOOK_WAVE)
    found = check_file(answers, there, library, survey="public", wave=WAVE)
    assert "employees_jump" not in skipped(found)
    assert skipped(found)["not_selected"] == ("sample",)


def test_a_warehouse_that_a_run_holds_is_no_reason_to_stop(
    answers: Path, settings: Settings, library: ContractLibrary, deliveries: Path, tmp_path: Path, monkeypatch
) -> None:
    there = staged(settings, library, deliveries, tmp_path / "home", public_sample=WAVE)
    monkeypatch.setattr("pipelines.precheck.known._SECONDS_TO_WAIT", 0.1)
    with Warehouse(there.warehouse_file, SqlCatalogue(settings.sql_dir), library).session():
        found = check_file(answers, there, library, survey="public", wave=WAVE)
    assert found.home_problem == "warehouse_locked: another session of this process"
    assert skipped(found)["not_selected"] == ("sample",)
    assert "warehouse_locked" in as_text(found, "en")
    assert "warehouse_locked" in as_letter(found, "ko", template_dir=settings.annual_dir)


def test_a_damaged_warehouse_is_said(
    answers: Path, settings: Settings, library: ContractLibrary, tmp_path: Path
) -> None:
    there = replace(settings, home=tmp_path / "home")
    there.warehouse_file.parent.mkdir(parents=True)
    there.warehouse_file.write_text("no database", encoding="utf-8")
    with pytest.raises(AxstatError, match="not_a_warehouse"):
        check_file(answers, there, library, survey="public", wave=WAVE)


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


def cut(answers: Path) -> None:
    answers.write_bytes(answers.read_bytes()[:-40])


def mixed(answers: Path) -> None:
    """A few bytes of CP949 in a file of UTF-8."""
    answers.write_bytes(answers.read_bytes() + "중앙".encode("cp949") + b"\xff\n")


def lacking(answers: Path) -> None:
    lines = lines_of(answers)
    with_lines(answers, [lines[0].replace("직원수", "비고"), *lines[1:]])


def empty(answers: Path) -> None:
    with_lines(answers, lines_of(answers)[:1])


def held(text: str) -> list[str]:
    """The lines of a telling without values: places of faults, what was expected and what was found."""
    lines = [line.strip() for line in text.splitlines() if not line.strip().startswith(("기준: ", "실제: "))]
    return [re.sub(r"^\[\w+\] [^:]*: ", "", line) for line in lines if line]


def words_of(page: str) -> str:
    """What a reader of a page sees, a line an element."""
    seen = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s*<[^>]*>\s*", "\n", re.sub(r"\s+", " ", seen)))


def without_english(lines: list[str]) -> bool:
    return not [line for line in lines if re.search(r"\b[A-Za-z]+ [A-Za-z]+ [A-Za-z]+", line)]


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (cut, "truncated_file", "파일이 중간에 잘렸거나 손상되었습니다."),
        (mixed, "wrong_encoding", "파일의 문자 인코딩이 맞지 않거나 판별할 수 없습니다."),
        (lacking, "missing_column", "필요한 열이 없습니다."),
        (empty, "empty_file", "파일에 자료 행이 없습니다."),
    ],
)
def test_a_korean_letter_has_no_english_sentence(
    check: Check, answers: Path, settings: Settings, spoil: Callable[[Path], None], code: str, message: str
) -> None:
    spoil(answers)
    found = check(answers)
    assert [violation.code for violation in found.violations] == [code]
    [violation] = found.violations
    text, page = as_text(found, "ko"), words_of(as_letter(found, "ko", template_dir=settings.annual_dir))
    for told in (text, page):
        assert f"[{code}] {violation.where}" in told
        assert message in told
        assert f"기준: {violation.expected}" in told
        assert f"실제: {violation.got}" in told
        assert f"조치: {found.texts[code].action_ko}" in told
        assert violation.hint not in told
        assert without_english(held(told)), told
    # The rule of this test finds the English that the other letter has
    assert not without_english(held(as_text(found, "en")))
    english = words_of(as_letter(found, "en", template_dir=settings.annual_dir))
    assert violation.hint in english
    assert message not in english
    [told_json] = json.loads(as_json(found))["violations"]
    assert (told_json["message_ko"], told_json["hint"]) == (message, violation.hint)
    assert told_json["message_en"]
    assert told_json["action_en"]


def test_remarks_on_a_file_are_told_in_korean(check: Check, answers: Path, settings: Settings) -> None:
    lines = lines_of(answers)
    with_lines(answers, [f"{line},{'more' if at == 0 else 1}" for at, line in enumerate(lines)])
    found = check(answers)
    assert [warning.code for warning in found.warnings] == ["extra_columns"]
    for told in (as_text(found, "ko"), words_of(as_letter(found, "ko", template_dir=settings.annual_dir))):
        assert "계약에 없는 열이 있습니다." in told
        assert without_english(held(told)), told
    rules = json.loads(as_json(found))["rules"]
    assert rules
    assert all(rule["action_ko"] in as_text(found, "ko") for rule in rules)
    assert all(rule["action_en"] in as_text(found, "en") for rule in rules)


def test_a_hostile_name_stays_text(check: Check, answers: Path, settings: Settings) -> None:
    path = answers.with_name("<img src=x>.csv")
    path.write_bytes(answers.read_bytes()[:-40])
    page = as_letter(check(path), "en", template_dir=settings.annual_dir)
    assert "<img" not in page
    assert "&lt;img src=x&gt;.csv" in page


def test_both_languages_have_all_words() -> None:
    assert set(WORDS["en"]) == set(WORDS["ko"])
