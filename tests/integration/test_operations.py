"""The services as an office runs them: PostgreSQL, daemon, webserver, schedule, backfill, and word of a failure.

One test goes through it all, for each service takes long to start. PostgreSQL is Debian's (`apt-get install
postgresql`).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from pipelines.contracts.library import load_library
from pipelines.orchestration.jobs import CHECK_JOB, WAVE_JOB
from pipelines.settings import load_settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from tests.sinks import Sink, free_port, notice_sink

ROOT = Path(__file__).parents[2]
SEED, SCALE = 20240926, 0.01
WAVES = (2021, 2022)
PATIENCE_SECONDS = 900
# In every secret of the set-up; nothing that is written or shown may hold it
MARKER = "mark3r"
CHECKOUT = ("pipelines", "sql", "data_contracts", "reports/annual", "reports/methodology", "workspace.yaml")


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


pytestmark = [
    pytest.mark.slow,
    # The mail server of the test, on loopback
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
    pytest.mark.skipif(
        _binaries() is None and not os.environ.get("CI"), reason="no PostgreSQL: `apt-get install postgresql`"
    ),
]


def wait(until: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := until()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(1)
    return found


@dataclass(frozen=True)
class Postgres:
    """A cluster of this test: address of its database, and its programs."""

    url: str
    run: Callable[..., str]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A new cluster on a free port of this machine, run by a user without rights, and gone afterwards."""
    binaries = _binaries()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="axstat-postgres-"))
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = {"user": "nobody", "group": "nogroup"}
        shutil.chown(folder, **owner)

    def run(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [binaries / program, *arguments],
            cwd=folder,
            env={"PGPASSWORD": MARKER, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **owner,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    secret = folder / "password"
    secret.write_text(MARKER, encoding="utf-8")
    secret.chmod(0o644)
    port = free_port()
    run("initdb", "-D", "data", "-U", "axstat", "--auth=scram-sha-256", "--pwfile=password", "-E", "UTF8")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    try:
        run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "axstat", "runs")
            yield Postgres(f"postgresql://axstat:{MARKER}@127.0.0.1:{port}/runs", run)
        finally:
            run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with notice_sink(MARKER) as made:
        yield made


@dataclass(frozen=True)
class Office:
    """A checkout with a release calendar of its own, a data home, and the environment of every process."""

    checkout: Path
    home: Path
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert MARKER not in done.stdout + done.stderr
        return done.stdout

    def dagster(self, *arguments: str) -> str:
        return self.command("dagster", *arguments, "-w", "workspace.yaml")

    @contextmanager
    def service(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """`axstat ui` as a service manager has it; its output is kept beside the data home."""
        log = self.home.parent / f"{'-'.join(arguments)}.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [sys.executable, "-m", "pipelines.cli", "ui", *arguments],
                cwd=self.checkout,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(180)
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def office(tmp_path: Path, postgres: Postgres, sink: Sink) -> Office:
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    for name in CHECKOUT:
        source, target = ROOT / name, checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    secrets = tmp_path / "axstat.env"
    secrets.touch(mode=0o600)
    variables = {**sink.settings, "AXSTAT_POSTGRES_URL": postgres.url, "AXSTAT_LOG": "json"}
    secrets.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
    write_deliveries(home, load_library(ROOT / "data_contracts"), seed=SEED, waves=WAVES, scale=SCALE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AXSTAT_", "DAGSTER_"))}
    environment = kept | {
        "AXSTAT_HOME": str(home),
        "AXSTAT_SETTINGS_FILE": str(secrets),
        "PYTHONUNBUFFERED": "1",
        # Of the commands of Dagster alone: those of axstat give it to what they start
        "DAGSTER_HOME": str(home / "dagster"),
        "AXSTAT_POSTGRES_URL": postgres.url.replace("postgresql", "postgresql+psycopg2", 1),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    return Office(checkout, home, environment)


def build_soon(office: Office, wave: int) -> datetime:
    """Write a calendar by which the wave is built in two to three minutes, which are 03:00 somewhere."""
    path = office.checkout / "data_contracts" / "release_calendar.yaml"
    calendar = yaml.safe_load(path.read_text(encoding="utf-8"))
    at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=3)
    minutes = (3 * 60 - at.hour * 60 - at.minute + 720) % 1440 - 720
    there = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert (there.hour, there.minute) == (3, 0)
    day = there.date() + timedelta(days=calendar["preparation_days"])
    calendar["publication_time"] = there.replace(hour=12).timetz().isoformat()
    calendar["publication_dates"] = {year: day + timedelta(days=365 * (year - wave)) for year in WAVES}
    path.write_text(yaml.safe_dump(calendar, allow_unicode=True), encoding="utf-8")
    return at


def test_it_runs_by_itself_with_its_history_in_postgres(
    office: Office, postgres: Postgres, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = build_soon(office, WAVES[0])
    port = free_port()
    monkeypatch.setenv("AXSTAT_POSTGRES_URL", office.environment["AXSTAT_POSTGRES_URL"])
    with office.service("--only", "daemon") as daemon, office.service("--only", "web", "--port", str(port)) as web:
        wait(lambda: (office.home / "dagster" / "dagster.yaml").exists(), "the configuration")
        office.dagster("schedule", "start", "annual_wave")
        assert datetime.now(UTC) < at, "the machine is too slow for this test's calendar"
        with dg.DagsterInstance.from_config(str(office.home / "dagster")) as instance:

            def runs(job: str, **tags: str) -> list[dg.RunRecord]:
                return list(instance.get_run_records(dg.RunsFilter(job_name=job, tags=tags), ascending=True))

            def over(job: str, count: int, **tags: str) -> list[dg.RunRecord]:
                assert daemon.poll() is None
                assert web.poll() is None
                found = runs(job, **tags)
                return found if len(found) >= count and all(one.dagster_run.is_finished for one in found) else []

            # The tick of the schedule asks for the wave; its process dies in the middle, as where memory runs out
            [asked] = wait(lambda: runs(WAVE_JOB), "the run that the schedule asks for")
            assert asked.dagster_run.tags["dagster/schedule_name"] == "annual_wave"
            os.kill(wait(lambda: worker(instance, asked.dagster_run.run_id), "a step of it"), signal.SIGKILL)
            # It is started again, once, and builds the wave, all of it; its release waits for its moment
            killed, built = wait(lambda: over(WAVE_JOB, 2), "the run that is started again")
            assert killed.dagster_run.status is dg.DagsterRunStatus.FAILURE
            assert built.dagster_run.status is dg.DagsterRunStatus.SUCCESS
            assert built.dagster_run.parent_run_id == killed.dagster_run.run_id
            assert built.dagster_run.tags["dagster/partition"] == str(WAVES[0])
            observed = instance.fetch_observations(dg.AssetKey("release"), limit=1).records
            assert "before_publication" in str(observed[0].asset_observation)

            with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=60) as answer:
                assert "dagster_version" in json.load(answer)
            other_pages_are_refused(port)

            # A backfill runs its waves one after the other, the oldest first
            office.dagster("job", "backfill", "-j", WAVE_JOB, "--partitions", "2021,2022", "--noprompt")
            of_backfill = wait(
                lambda: [one for one in over(WAVE_JOB, 4) if "dagster/backfill" in one.dagster_run.tags],
                "the runs of the backfill",
            )
            assert [one.dagster_run.tags["dagster/partition"] for one in of_backfill] == ["2021", "2022"]
            assert {one.dagster_run.status for one in of_backfill} == {dg.DagsterRunStatus.SUCCESS}
            assert of_backfill[0].end_time <= of_backfill[1].start_time

            # A file that was changed after it was delivered is found by the check, and a person is told
            answers = office.home / "deliveries" / "public-2022" / "manifest.json"
            changed = json.loads(answers.read_text(encoding="utf-8"))["files"][0]["file"]
            with (answers.parent / changed).open("ab") as file:
                file.write(b"\n")
            office.dagster("job", "launch", "-j", CHECK_JOB)
            [failed] = wait(lambda: over(CHECK_JOB, 1), "the check of the deliveries")
            assert failed.dagster_run.status is dg.DagsterRunStatus.FAILURE
            wait(lambda: len(sink.mails) == len(sink.posts) == 2, "the notices")
            run_id = failed.dagster_run.run_id

    [of_killed, mail], [_, (authorization, posted)] = sink.mails, sink.posts
    assert set(sink.passwords) == {MARKER}
    assert f"Run {killed.dagster_run.run_id} ({WAVE_JOB} of wave {WAVES[0]}) failed".encode() in of_killed
    assert b"its process ended" in of_killed
    assert b"Subject: [axstat] check_deliveries failed" in mail
    assert run_id.encode() in mail
    assert b"[hash_differs] " in mail
    assert authorization == f"Bearer {MARKER}"
    assert posted["run"] == run_id
    assert {"step": "look_at_deliveries", "code": "hash_differs"}.items() <= posted["failures"][0].items()

    steps_are_recorded(office)
    no_secret_is_left(office, postgres)


def other_pages_are_refused(port: int) -> None:
    """Neither a page elsewhere nor a name elsewhere that points here gets an answer of Dagster's GraphQL."""
    question = f"http://127.0.0.1:{port}/graphql?query={{version}}"
    for headers, refused in (
        ({}, None),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Host": f"elsewhere.example:{port}"}, 400),
    ):
        asked = urllib.request.Request(question, headers=headers)
        if refused is None:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert "version" in json.load(answer)["data"]
        else:
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked, timeout=60)
            assert caught.value.code == refused
            caught.value.close()


def worker(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process of a run that has a step behind it."""
    told = [entry.message for entry in instance.all_logs(run_id)]
    if not instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS):
        return None
    [pid] = re.findall(r"Started process for run \(pid: (\d+)\)", "\n".join(told))
    return int(pid)


def steps_are_recorded(office: Office) -> None:
    settings = load_settings({"AXSTAT_HOME": str(office.home)})
    library = load_library(settings.contracts_dir)
    with Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library).session() as session:
        steps = session.table("meta.run_step")
    by_run = steps.group_by("run_id", "wave").agg(pl.col("step").unique()).sort("wave", pl.col("step").list.len())
    assert by_run["wave"].to_list() == [2021, 2021, 2021, 2022]
    assert steps["error"].null_count() == steps.height
    killed, again, *whole = map(set, by_run["step"].to_list())
    assert 0 < len(killed) < len(again)
    # It goes on with what was not done
    assert whole == [killed | again] * 2


def no_secret_is_left(office: Office, postgres: Postgres) -> None:
    """In what the services wrote, printed, and stored in the database."""
    for path in office.home.parent.rglob("*"):
        if path.is_file() and office.checkout not in path.parents and path.name != "axstat.env":
            assert MARKER.encode() not in path.read_bytes(), path
    host, port = re.findall(r"@([\d.]+):(\d+)/", postgres.url)[0]
    dumped = postgres.run("pg_dump", "-h", host, "-p", port, "-U", "axstat", "--inserts", "runs")
    assert "INSERT INTO public.runs" in dumped
    assert MARKER not in dumped
