"""Word of failed runs: what it says, that it gets through once by each way, and what it never says."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines.environment import Mail, Notices, Webhook
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.orchestration import notices
from pipelines.orchestration.notices import failure_notice, failure_sensor
from pipelines.orchestration.senders import Notice, NotSentError
from pipelines.settings import Settings, load_settings

ANSWER = "an answer of a respondent"
BOTH = Notices(
    mail=Mail(host="h", port=25, security="none", sender="a@b", recipients=("c@d",)), webhook=Webhook("https://x/y")
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def failed_run(instance: dg.DagsterInstance, error: Exception) -> dg.DagsterRun:
    @dg.asset(key=["industry", "core"], partitions_def=dg.StaticPartitionsDefinition(["2025"]))
    def core() -> None:
        raise error

    done = dg.materialize([core], partition_key="2025", instance=instance, raise_on_error=False)
    found = instance.get_run_by_id(done.run_id)
    assert found is not None
    return found


def two_findings() -> ViolationsError:
    return ViolationsError(
        "deliveries of industry 2025",
        [
            Violation("rows_differ", "answers.csv", "900 rows", ANSWER, "send it", ()),
            Violation("unknown_code", "answers.csv, column stage", "a code", ANSWER, "correct it", (1, 2)),
        ],
    )


def test_a_notice_names_run_wave_and_findings_but_not_what_was_found(instance: dg.DagsterInstance) -> None:
    run = failed_run(instance, two_findings())
    notice = failure_notice(instance, run)
    assert "of wave 2025 failed" in notice.subject
    assert run.run_id in notice.text
    assert "- industry/core: [rows_differ] answers.csv\n" in notice.text
    assert "- industry/core: [unknown_code] answers.csv, column stage, rows 1, 2\n" in notice.text
    assert notice.facts["wave"] == 2025
    assert [one["code"] for one in notice.facts["failures"]] == ["rows_differ", "unknown_code"]  # type: ignore[attr-defined]
    assert ANSWER not in notice.text + json.dumps(notice.facts)


def test_an_error_without_words_of_axstat_is_told_by_its_name_alone(instance: dg.DagsterInstance) -> None:
    notice = failure_notice(instance, failed_run(instance, ValueError(ANSWER)))
    assert "[ValueError] an error without words of axstat" in notice.text
    assert ANSWER not in notice.text


def test_a_blocking_check_is_told_once(instance: dg.DagsterInstance) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("weights", asset="core", blocking=True)])
    def core():
        yield dg.MaterializeResult(
            check_results=[dg.AssetCheckResult(passed=False, check_name="weights", description=ANSWER)]
        )

    @dg.asset(deps=[core])
    def estimates() -> None:
        """Never reached."""

    done = dg.materialize([core, estimates], instance=instance, raise_on_error=False)
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    notice = failure_notice(instance, run)
    assert notice.facts["failures"] == [{"step": "core", "code": "weights", "where": "blocking check"}]
    assert ANSWER not in notice.text


def test_a_run_whose_process_ended_is_told_too(instance: dg.DagsterInstance) -> None:
    @dg.job
    def empty() -> None:
        """Nothing runs."""

    run = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run)
    assert "No step of it failed" in failure_notice(instance, run).text


class Ways:
    """In the place of mail and webhook: what they got, and which of them are down."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.down: set[str] = set()

    def way(self, name: str) -> Callable[[object, Notice], None]:
        def send(_where: object, notice: Notice) -> None:
            if name in self.down:
                raise NotSentError(f"{name} is down")
            self.got.append((name, str(notice.facts["run"])))

        return send


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    made = Ways()
    monkeypatch.setattr(notices, "send_mail", made.way("mail"))
    monkeypatch.setattr(notices, "post", made.way("webhook"))
    return made


class Ticks:
    """The sensor with the cursor of its last tick."""

    def __init__(self, instance: dg.DagsterInstance, settings: Settings) -> None:
        self.instance = instance
        self.sensor = failure_sensor(settings)
        self.cursor: str | None = None

    def __call__(self) -> str:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        said = self.sensor(context)
        assert isinstance(said, dg.SkipReason)
        self.cursor = context.cursor
        return said.skip_message or ""


@pytest.fixture
def tick(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    settings = load_settings({})
    object.__setattr__(settings, "notices", BOTH)
    return Ticks(instance, settings)


def test_what_failed_before_it_was_switched_on_is_not_told(
    instance: dg.DagsterInstance, tick: Ticks, ways: Ways
) -> None:
    failed_run(instance, two_findings())
    tick.cursor = json.dumps({"since": (datetime.now(UTC) + timedelta(seconds=5)).isoformat(), "told": []})
    assert tick() == "no run failed"
    assert ways.got == []


def test_each_failure_is_told_once_by_each_way(instance: dg.DagsterInstance, tick: Ticks, ways: Ways) -> None:
    tick()
    first = failed_run(instance, two_findings()).run_id
    tick()
    second = failed_run(instance, ValueError()).run_id
    instance.add_run_tags(first, {"seen": "yes"})  # its record changes once more
    tick()
    assert tick() == "no run failed"
    assert ways.got == [(way, run) for run in (first, second) for way in ("mail", "webhook")]


def test_a_way_that_is_down_is_tried_again_and_keeps_no_other_from_telling(
    instance: dg.DagsterInstance, tick: Ticks, ways: Ways
) -> None:
    tick()
    ways.down = {"mail"}
    first = failed_run(instance, two_findings()).run_id
    assert "mail is down; it is tried again" in tick()
    second = failed_run(instance, two_findings()).run_id
    tick()
    assert ways.got == [("webhook", first), ("webhook", second)]
    ways.down = set()
    tick()
    assert ways.got[2:] == [("mail", first), ("mail", second)]
    assert tick() == "no run failed"


def test_many_failures_are_told_over_several_ticks(instance: dg.DagsterInstance, tick: Ticks, ways: Ways) -> None:
    tick()
    runs = [failed_run(instance, ValueError()).run_id for _ in range(5)]
    tick()
    assert len(ways.got) == 2 * 3
    tick()
    assert [run for way, run in ways.got if way == "mail"] == runs


def test_it_gives_up_after_days(
    instance: dg.DagsterInstance, tick: Ticks, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick()
    ways.down = {"mail", "webhook"}
    failed_run(instance, ValueError())
    monkeypatch.setattr(notices, "_KEEP_TRYING", timedelta(0))
    assert "is down" in tick()
    assert tick.cursor is not None
    assert json.loads(tick.cursor)["told"] == []
    later = datetime.fromisoformat(json.loads(tick.cursor)["since"]) + timedelta(seconds=2)
    tick.cursor = json.dumps({"since": later.isoformat(), "told": []})
    assert tick() == "no run failed"


def test_it_is_on_where_there_is_somebody_to_tell(tick: Ticks) -> None:
    assert tick.sensor.default_status is dg.DefaultSensorStatus.RUNNING
    off = failure_sensor(load_settings({}))
    assert off.default_status is dg.DefaultSensorStatus.STOPPED
    said = off(dg.build_sensor_context())
    assert isinstance(said, dg.SkipReason)
    assert "AXSTAT_NOTICE_TO" in (said.skip_message or "")


def test_an_axstat_error_is_one_finding(instance: dg.DagsterInstance) -> None:
    error = AxstatError("no_deliveries", where="deliveries", expected="e", got=ANSWER, hint="h")
    notice = failure_notice(instance, failed_run(instance, error))
    assert notice.facts["failures"] == [{"step": "industry/core", "code": "no_deliveries", "where": "deliveries"}]
