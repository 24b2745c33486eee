"""What publishing decides; the forms themselves are tested where they are made, the whole in tests/integration."""

import datetime
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.quality_values import SuppliedValue
from pipelines.contracts.signed import Override
from pipelines.errors import AxstatError
from pipelines.release import publish as module
from pipelines.release import rules
from pipelines.release.candidate import FailedCheck
from pipelines.release.equality import Difference
from pipelines.release.gate import RefusedError
from pipelines.release.printing import PRINTED
from pipelines.release.publish import Published, ReleaseInput, git_revision, rehearse
from pipelines.reporting.data import ReportData
from pipelines.settings import Settings
from tests.unit.reporting.made_up import built_marts, made_up_report

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def given(library: ContractLibrary) -> ReleaseInput:
    made_up = made_up_report(wave=2022)
    marts = built_marts(2022)
    upto = pl.col("wave") <= 2022
    return ReleaseInput(
        wave=2022,
        marts=marts,
        deliveries=made_up.deliveries.filter(upto),
        row_balance=made_up.row_balance.filter(upto),
        edit_files=pl.DataFrame(schema={"survey": pl.String, "wave": pl.Int32, "edit_sha256": pl.String}),
        rests_on={"industry": {2022: "a"}, "public": {2022: "b"}},
        leaks=(),
        failed_checks=(),
    )


def publish(settings: Settings, library: ContractLibrary, given: ReleaseInput, **options: object) -> Published:
    """At a moment at which every wave that is made up here is out."""
    return module.publish(settings, library, given, **{"now": NOW, **options})


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[ReportData]:
    """What was handed over to be drawn; drawing it takes seconds and decides nothing."""
    handed: list[ReportData] = []

    def draw(data: ReportData, language: str, *, template_dir: Path) -> str:
        handed.append(data)
        return f"{data.release} {language}"

    @contextmanager
    def print_(folder: Path, data: ReportData, *, template_dir: Path) -> Iterator[None]:
        for name in PRINTED:
            (folder / name).write_bytes(f"{data.release} {name}".encode())
        yield

    def write(data: ReportData, path: Path, *, template_dir: Path) -> None:
        path.write_text(data.release)

    def write_others(
        folder: Path, library: ContractLibrary, marts: Mapping[str, pl.DataFrame], printed: ReportData
    ) -> None:
        (folder / "codebook.xml").write_text(f"{printed.release} {sorted(marts)}")

    monkeypatch.setattr(module, "render_report", draw)
    monkeypatch.setattr(module, "write_workbook", write)
    monkeypatch.setattr(module, "write_forms", write_others)
    monkeypatch.setattr(rules, "unequal_cells", lambda *_, **__: [])
    monkeypatch.setattr(rules, "text_findings", lambda *_, **__: {})
    monkeypatch.setattr(module, "printing", print_)
    return handed


def manifest_of(folder: Path) -> Mapping[str, object]:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_a_release_and_its_manifest(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> None:
    published = publish(settings, library, given)
    assert (str(published.vintage), published.new) == ("2022.1", True)
    manifest = manifest_of(published.folder)
    files = {path.relative_to(published.folder).as_posix() for path in published.folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert "codebook.xml" in files
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((published.folder / name).read_bytes()).hexdigest() == sha256, name
    # Every indicator of two surveys and two waves; four figures of enterprises and two of institutions in each wave
    listed = len(library.classifications["quality_indicators"].items)
    added = {"quality_indicator": listed * 2 * 2, "revision": (4 + 2) * 2}
    assert manifest["rows"]["marts"] == {name: frame.height for name, frame in given.marts.items()} | added
    assert manifest["publication_order"] == 1
    assert manifest["corrections"] == {"ko": [], "en": []}
    assert manifest["publication_date"] == library.calendar.publication_date(2022).isoformat()
    assert settings.lock_file is not None
    assert manifest["made_with"]["lock_sha256"] == hashlib.sha256(settings.lock_file.read_bytes()).hexdigest()
    assert manifest_of(settings.published_dir / "latest") == manifest
    with duckdb.connect(str(published.folder / "axstat.duckdb"), read_only=True) as connection:
        [(rows,)] = connection.sql("select count(*) from mart.adoption_rate").fetchall()
    assert rows == given.marts["adoption_rate"].height


def test_the_printed_forms_stand_beside_the_report_and_are_named_in_it(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, drawn: list[ReportData]
) -> None:
    folder = publish(settings, library, given).folder
    assert set(drawn[0].files) == {
        "report.ko.pdf", "report.en.pdf", "report.ko.hwpx", "share.ko.png", "share.en.png",
    }  # fmt: skip
    for name, described in drawn[0].files.items():
        assert (folder / name).read_text() == f"2022.1 {name}"
        assert all(described[language] for language in ("ko", "en"))
    assert len({text for described in drawn[0].files.values() for text in described.values()}) == 10


def test_the_manifest_holds_no_place_and_no_time(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, tmp_path: Path
) -> None:
    first = publish(settings, library, given)
    second = publish(replace(settings, home=tmp_path / "elsewhere"), library, given)
    assert (first.folder / "manifest.json").read_bytes() == (second.folder / "manifest.json").read_bytes()


def test_the_same_content_makes_no_new_vintage(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, drawn: list[ReportData]
) -> None:
    first = publish(settings, library, given)
    assert len(drawn) == 2
    (settings.published_dir / "latest").unlink()
    again = publish(settings, library, given)
    assert (again.vintage, again.folder, again.new) == (first.vintage, first.folder, False)
    assert len(drawn) == 2
    assert (settings.published_dir / "latest" / "manifest.json").is_file()


def test_anything_that_changed_makes_one(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> None:
    publish(settings, library, given)
    rates = given.marts["adoption_rate"].with_columns(pl.col("se") * (1 + 1e-6))
    balance = given.row_balance.with_columns(pl.col("quarantined") + 1)
    deliveries = given.deliveries.with_columns(pl.lit("f" * 64).alias("file_sha256"))
    changes = (
        replace(given, marts={**given.marts, "adoption_rate": rates}),
        replace(given, row_balance=balance),
        replace(given, deliveries=deliveries),
    )
    assert [str(publish(settings, library, changed).vintage) for changed in changes] == ["2022.2", "2022.3", "2022.4"]
    # Back to what the first said: it is a new statement, not the old one
    assert str(publish(settings, library, given).vintage) == "2022.5"


def test_a_release_among_others_is_no_reason_for_another(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    """What earlier releases said is in a release, but only what is its own makes it new: else runs would never end."""
    publish(settings, library, given)
    changed = replace(given, row_balance=given.row_balance.with_columns(pl.col("quarantined") + 1))
    assert str(publish(settings, library, changed).vintage) == "2022.2"
    again = publish(settings, library, changed)
    assert (str(again.vintage), again.new) == ("2022.2", False)
    # A day that is recorded afterwards is told by the next release, and makes none
    days = library.quality_values.model_copy(update={"published_on": {"2022.1": datetime.date(2022, 12, 22)}})
    assert not publish(settings, replace(library, quality_values=days), changed).new
    # A value that is supplied is content
    value = SuppliedValue(indicator="AC1", value=1200.0, source="web server")
    supplied = library.quality_values.model_copy(update={"values": (value,)})
    assert str(publish(settings, replace(library, quality_values=supplied), changed).vintage) == "2022.3"


def test_a_changed_headline_is_told_in_the_manifest(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    publish(settings, library, given)
    headline = (
        (pl.col("survey") == "industry") & (pl.col("wave") == 2022) & (pl.col("domain_type") == "total")
        & (pl.col("measure") == "ai_adoption") & (pl.col("base") == "answered") & (pl.col("unit_weighting") == "unit")
    )  # fmt: skip
    rates = given.marts["adoption_rate"].with_columns(
        pl.when(headline).then(pl.col("estimate") + 0.012).otherwise("estimate").alias("estimate")
    )
    # Another file of answers with as many rows: data were corrected
    other = pl.when((pl.col("contract") == "industry_response") & (pl.col("wave") == 2022)).then(pl.lit("e" * 64))
    deliveries = given.deliveries.with_columns(other.otherwise("file_sha256").alias("file_sha256"))
    changed = replace(given, marts={**given.marts, "adoption_rate": rates}, deliveries=deliveries)
    manifest = manifest_of(publish(settings, library, changed).folder)
    assert manifest["publication_order"] == 2
    [said] = manifest["corrections"]["en"]
    assert "Industry, 2022" in said
    assert "+1.2\u00a0percentage points" in said
    assert "corrected survey data" in said
    [told] = manifest["corrections"]["ko"]
    assert "조사 자료의 정정" in told


def test_other_words_in_the_report_make_one(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, tmp_path: Path
) -> None:
    words = tmp_path / "annual"
    shutil.copytree(settings.annual_dir, words)
    publish(replace(settings, annual_dir=words), library, given)
    with (words / "report.typ").open("a", encoding="utf-8") as template:
        template.write("// another look\n")
    assert str(publish(replace(settings, annual_dir=words), library, given).vintage) == "2022.2"


def test_what_cannot_be_drawn_is_not_published(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(settings, library, given)

    def broken(data: ReportData, language: str, *, template_dir: Path) -> str:
        raise AxstatError("no_label", where="mart.domain", expected="a label", got="none", hint="add it")

    monkeypatch.setattr(module, "render_report", broken)
    changed = replace(given, row_balance=given.row_balance.with_columns(pl.col("quarantined") + 1))
    with pytest.raises(AxstatError, match="no_label"):
        publish(settings, library, changed)
    assert sorted(entry.name for entry in settings.published_dir.iterdir()) == ["2022.1", "latest"]
    assert manifest_of(settings.published_dir / "latest") == manifest_of(first.folder)


def test_a_form_that_says_something_else_is_not_published(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    different = Difference(
        form="sdmx", table="adoption_rate", key="wave=2022", column="estimate", expected="0.3", got="0.4"
    )
    monkeypatch.setattr(rules, "unequal_cells", lambda *_, **__: [different])
    with pytest.raises(RefusedError, match="unequal_outputs") as raised:
        publish(settings, library, given)
    [finding] = raised.value.verdict.reasons
    assert finding.reason.violation.where == "sdmx adoption_rate estimate wave=2022"
    assert (finding.reason.violation.expected, finding.reason.violation.got) == ("0.3", "0.4")
    assert list(settings.published_dir.iterdir()) == []


def test_a_wave_without_announced_date_is_not_published(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    with pytest.raises(AxstatError, match="no_publication_date"):
        publish(settings, library, replace(given, wave=1999))
    assert not list(settings.published_dir.glob("*"))


def test_a_release_that_is_refused_leaves_nothing(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    early = datetime.datetime(2022, 12, 21, 11, 59, tzinfo=datetime.timezone(datetime.timedelta(hours=9)))
    with pytest.raises(RefusedError) as caught:
        publish(settings, library, given, now=early)
    assert caught.value.held
    assert list(settings.published_dir.iterdir()) == []
    assert publish(settings, library, given, now=early + datetime.timedelta(minutes=1)).new


def test_the_clock_leaves_no_trace(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, tmp_path: Path
) -> None:
    first = publish(settings, library, given)
    later = NOW + datetime.timedelta(days=1000)
    second = publish(replace(settings, home=tmp_path / "elsewhere"), library, given, now=later)
    for name in (path.relative_to(first.folder) for path in first.folder.rglob("*.*") if path.is_file()):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_a_rehearsal_judges_and_publishes_nothing(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    verdict = rehearse(settings, library, given, now=NOW)
    assert (verdict.release, verdict.reasons) == ("2022.1", ())
    assert "unequal_outputs" in verdict.judged
    assert list(settings.published_dir.iterdir()) == []
    undated = rehearse(settings, library, replace(given, wave=1999), now=NOW)
    assert [finding.reason.violation.code for finding in undated.reasons][-1] == "no_publication_date"


FAILED = FailedCheck("weights", "industry", pl.DataFrame({"what_to_do": ["look"]}))
OVERRIDE = Override(release="2022.1", rule="check_failed", name="Lee", reason_ko="사유", reason_en="harmless")


def test_an_override_stands_in_the_manifest_and_in_the_report(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, drawn: list[ReportData]
) -> None:
    failed = replace(given, failed_checks=(FAILED,))
    with pytest.raises(RefusedError, match="check_failed"):
        publish(settings, library, failed)
    drawn.clear()
    published = publish(settings, library, failed, overrides=(OVERRIDE,))
    gate = manifest_of(published.folder)["gate"]
    assert gate["overrides"] == [OVERRIDE.model_dump()]
    assert "overridden by Lee: harmless" in gate["answered_for"][0]
    for data in drawn:
        [notice] = data.notices
        assert (notice.kind, notice.who, notice.why) == ("override", "Lee", {"ko": "사유", "en": "harmless"})
    # It was for this release: the same content stands without it, other content needs another one
    assert publish(settings, library, failed).vintage == published.vintage
    other = replace(failed, row_balance=given.row_balance.with_columns(pl.col("quarantined") + 1))
    with pytest.raises(RefusedError, match=r"release 2022\.2"):
        publish(settings, replace(library, overrides=(OVERRIDE,)), other)


def test_a_new_vintage_says_why(settings: Settings, library: ContractLibrary, given: ReleaseInput) -> None:
    first = publish(settings, library, given)
    assert manifest_of(first.folder)["because"] == []
    corrected = given.deliveries.with_columns(
        pl.when(wave=2021, survey="public", contract="public_response")
        .then(pl.lit("f" * 64))
        .otherwise("file_sha256")
        .alias("file_sha256")
    )
    second = publish(settings, library, replace(given, deliveries=corrected))
    [cause] = manifest_of(second.folder)["because"]
    assert (cause["cause"], cause["survey"], cause["wave"], cause["what"]) == (
        "delivery", "public", 2021, "public_response",
    )  # fmt: skip


def test_one_synthetic_file_makes_the_release_synthetic(given: ReleaseInput) -> None:
    real = given.deliveries.with_columns(pl.lit(False).alias("synthetic"))
    one = real.with_columns((pl.int_range(pl.len()) == 0).alias("synthetic"))
    assert [replace(given, deliveries=frame).synthetic for frame in (real, one)] == [False, True]


def test_the_report_tells_when_answers_were_collected(
    settings: Settings, library: ContractLibrary, given: ReleaseInput, drawn: list[ReportData]
) -> None:
    days = pl.when(pl.col("contract") == "industry_sample").then(pl.lit("2022-07-01").str.to_date())
    early = given.deliveries.with_columns(days.otherwise("collection_start").alias("collection_start"))
    publish(settings, library, replace(given, deliveries=early))
    start, end = drawn[0].collection["industry"]
    assert (start.isoformat(), end.isoformat()) == ("2022-07-01", "2022-10-15")


def test_the_revision_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "pipelines" / "release" / "publish.py"))
    assert git_revision() is None
    git = ("git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x")
    file = tmp_path / "file"
    file.write_text("one")
    for command in (("init", "-q"), ("add", "file"), ("commit", "-q", "-m", "one")):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_revision() == head
    file.write_text("two")
    assert git_revision() == f"{head}-dirty"
