"""Who may see a release before its moment, and that nothing is published by it."""

import datetime
import json
import stat
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.calendar import Embargo
from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import PreAccess
from pipelines.errors import AxstatError
from pipelines.release import publish as publishing
from pipelines.release import rules
from pipelines.release.candidate import FailedCheck
from pipelines.release.gate import RefusedError
from pipelines.release.pre_access import open_to_listed
from pipelines.release.publish import ReleaseInput
from pipelines.reporting.data import ReportData
from pipelines.settings import Settings
from tests.unit.reporting.made_up import built_marts, made_up_report

WAVE = 2022
MOMENT = datetime.datetime(2022, 12, 21, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=9)))
HOUR = datetime.timedelta(hours=1)
FAILED = FailedCheck("weights", "industry", pl.DataFrame({"what_to_do": ["look"]}))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the report takes seconds and decides nothing."""

    def draw(data: ReportData, language: str, *, template_dir: Path) -> str:
        return f"{data.release} {language}"

    def write(data: ReportData, path: Path, *, template_dir: Path) -> None:
        path.write_text(data.release)

    monkeypatch.setattr(publishing, "render_report", draw)
    monkeypatch.setattr(publishing, "write_workbook", write)
    monkeypatch.setattr(rules, "unequal_cells", lambda *_, **__: [])
    monkeypatch.setattr(rules, "text_findings", lambda *_, **__: {})


@pytest.fixture
def given() -> ReleaseInput:
    made_up = made_up_report(wave=WAVE)
    upto = pl.col("wave") <= WAVE
    return ReleaseInput(
        wave=WAVE,
        marts=built_marts(WAVE),
        deliveries=made_up.deliveries.filter(upto),
        row_balance=made_up.row_balance.filter(upto),
        edit_files=pl.DataFrame(schema={"survey": pl.String, "wave": pl.Int32, "edit_sha256": pl.String}),
        rests_on={},
        leaks=(),
        failed_checks=(),
    )


@pytest.fixture
def listed(library: ContractLibrary) -> ContractLibrary:
    people = tuple(
        PreAccess(
            who=who, role_ko="역할", role_en="role", hours_before=hours, why_ko="사유", why_en="to answer questions"
        )
        for who, hours in (("Kim", 24.0), ("Lee", 2.0))
    )
    return replace(library, pre_access=library.pre_access.model_copy(update={"people": people}))


def test_each_sees_it_from_their_time_on(settings: Settings, listed: ContractLibrary, given: ReleaseInput) -> None:
    opened = open_to_listed(settings, listed, given, now=MOMENT - 20 * HOUR)
    assert opened.folder == settings.pre_access_dir / "2022.1"
    assert stat.S_IMODE(opened.folder.stat().st_mode) == 0o700
    [told] = json.loads((opened.folder / "pre_access.json").read_text(encoding="utf-8"))
    assert (told["who"], told["from"]) == ("Kim", (MOMENT - 24 * HOUR).isoformat())
    assert "Kim, role: to answer questions" in str(opened)
    assert (opened.folder / "axstat.duckdb").is_file()
    assert not settings.published_dir.exists()
    manifest = (opened.folder / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(manifest)["release"] == "2022.1"
    # Nothing tells when it was asked for
    assert "2022-12-20T16" not in manifest

    again = open_to_listed(settings, listed, given, now=MOMENT - HOUR)
    assert [person.who for person in again.people] == ["Kim", "Lee"]
    assert [path.name for path in settings.pre_access_dir.iterdir()] == ["2022.1"]


@pytest.mark.parametrize(
    ("hours", "code"), [(-30.0, "no_pre_access"), (0.0, "already_public"), (5.0, "already_public")]
)
def test_nobody_sees_it_too_early_or_after_its_moment(
    settings: Settings, listed: ContractLibrary, given: ReleaseInput, hours: float, code: str
) -> None:
    with pytest.raises(AxstatError) as caught:
        open_to_listed(settings, listed, given, now=MOMENT + hours * HOUR)
    assert caught.value.code == code
    assert not settings.pre_access_dir.exists()


def test_an_embargo_moves_their_time_too(settings: Settings, listed: ContractLibrary, given: ReleaseInput) -> None:
    held = Embargo(wave=WAVE, until=MOMENT + 48 * HOUR, why_ko="사유", why_en="reason")
    calendar = listed.calendar.model_copy(update={"embargoes": (held,)})
    later = replace(listed, calendar=calendar)
    with pytest.raises(AxstatError, match="no_pre_access"):
        open_to_listed(settings, later, given, now=MOMENT - HOUR)
    assert open_to_listed(settings, later, given, now=MOMENT + 30 * HOUR).people[0].who == "Kim"


def test_nobody_is_listed_as_the_contract_comes(
    settings: Settings, library: ContractLibrary, given: ReleaseInput
) -> None:
    with pytest.raises(AxstatError, match=r"(?s)no_pre_access.*nobody on the list"):
        open_to_listed(settings, library, given, now=MOMENT - HOUR)


def test_a_release_with_another_reason_to_refuse_is_shown_to_nobody(
    settings: Settings, listed: ContractLibrary, given: ReleaseInput
) -> None:
    with pytest.raises(RefusedError, match="check_failed"):
        open_to_listed(settings, listed, replace(given, failed_checks=(FAILED,)), now=MOMENT - HOUR)
    assert list(settings.pre_access_dir.iterdir()) == []
