"""Dagster's UI as `axstat ui` serves it: what a statistician finds there, and that nothing of it stays behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pipelines.contracts.library import load_library
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks for left processes under /proc"),
]

WAVE = "2021"
PATIENCE = 300
GONE = 60
_LAUNCH = """mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_LOCATIONS = """{ workspaceOrError { ... on Workspace {
  locationEntries { name locationOrLoadError { __typename } }
} } }"""


@dataclass(frozen=True)
class Served:
    """A running UI: where it is, and the settings of its data home."""

    url: str
    settings: Settings

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of its GraphQL interface."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            error.add_note(error.read().decode(errors="replace"))
            raise


def wait(until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(1)


def processes_of(home: Path) -> set[int]:
    """Processes whose environment names the data home."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if str(home).encode() in environment:
            found.add(int(folder.name))
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The UI on the deliveries of a small country; ended by SIGTERM to the command alone."""
    home = tmp_path_factory.mktemp("home")
    settings = load_settings({"AXSTAT_HOME": str(home)})
    write_deliveries(home, load_library(settings.contracts_dir), seed=20240926, waves=(int(WAVE),), scale=0.02)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "ui.log"
    with log.open("wb") as output:
        command = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "ui", "--port", str(port)],
            env=os.environ | {"AXSTAT_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    served = Served(f"http://127.0.0.1:{port}", settings)

    def loaded() -> bool:
        assert command.poll() is None, log.read_text(encoding="utf-8")
        try:
            [location] = served.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        return location == {"name": "axstat", "locationOrLoadError": {"__typename": "RepositoryLocation"}}

    try:
        wait(loaded, "the UI")
        yield served
    finally:
        command.send_signal(signal.SIGTERM)
        command.wait(timeout=60)
        # A code server ends by itself when nobody asks for it any more
        deadline = time.monotonic() + GONE
        while (left := processes_of(home)) and time.monotonic() < deadline:
            time.sleep(1)
        for process in left:
            os.kill(process, signal.SIGKILL)
    assert left == set()


@pytest.fixture(scope="module")
def run_id(served: Served) -> str:
    """A run of the wave, started as the UI starts one, through queue, daemon and pool, to its end."""
    selector = {"repositoryLocationName": "axstat", "repositoryName": "__repository__", "pipelineName": "wave"}
    tags = [{"key": "dagster/partition", "value": WAVE}]
    launched = served.ask(_LAUNCH, params={"selector": selector, "executionMetadata": {"tags": tags}})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]

    def ended() -> bool:
        return served.ask(_STATUS, id=run_id)["runOrError"]["status"] in ("SUCCESS", "FAILURE", "CANCELED")

    wait(ended, "the run")
    return run_id


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page that must ask this server alone."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(1000 * PATIENCE)
    expect.set_options(timeout=1000 * PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    assert asked
    assert [url for url in asked if not url.startswith((f"{served.url}/", "data:", "blob:"))] == []


def test_a_wave_runs_from_the_ui(served: Served, run_id: str, page: Page) -> None:
    assert served.ask(_STATUS, id=run_id)["runOrError"]["status"] == "SUCCESS"
    assert (served.settings.published_dir / "latest" / "manifest.json").is_file()
    page.goto(f"{served.url}/runs/{run_id}")
    expect(page.get_by_text("Success").first).to_be_visible()
    expect(page.get_by_text(WAVE).first).to_be_visible()


def test_the_graph_shows_the_way_of_a_wave(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/asset-groups")
    for group in ("deliveries", "staging", "weights", "estimates", "progress", "marts", "release"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    assert page.get_by_text("Join the Dagster community").count() == 0


def test_an_asset_shows_what_it_made(served: Served, run_id: str, page: Page) -> None:
    page.goto(f"{served.url}/assets/industry/core")
    expect(page.get_by_text("Frame, sample, responding units and their measures")).to_be_visible()
    # The balance of rows is a table, not the text of one
    balance = page.locator("table", has=page.get_by_role("columnheader", name="quarantined")).last
    expect(balance.get_by_role("cell", name="industry_response", exact=True)).to_be_visible()


def test_an_asset_shows_its_checks(served: Served, run_id: str, page: Page) -> None:
    page.goto(f"{served.url}/assets/industry/core?view=checks")
    expect(page.get_by_text("row_balance").first).to_be_visible()
    expect(page.get_by_text("duplicate_units").first).to_be_visible()
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    page.get_by_text("row_balance").first.click()
    expect(page.get_by_text("one row per contract whose delivered rows are not all accounted for")).to_be_visible()
    expect(page.get_by_text("no offending rows").first).to_be_visible()


def test_the_job_and_its_schedules(served: Served, page: Page) -> None:
    page.goto(f"{served.url}/locations/axstat/jobs/wave")
    expect(page.get_by_text("One wave of both surveys: deliveries to published release.")).to_be_visible()
    page.goto(f"{served.url}/locations/axstat/schedules/annual_wave")
    expect(page.get_by_text("its release waits until then").first).to_be_visible()
    page.goto(f"{served.url}/locations/axstat/schedules/nightly_check")
    expect(page.get_by_text("Asia/Seoul").first).to_be_visible()
    expect(page.get_by_text("Reads all deliveries each night at 02:00 in Seoul").first).to_be_visible()


def test_nobody_is_told(served: Served, run_id: str) -> None:
    # Where Dagster collects what it is about to send
    assert run_id
    assert not list((served.settings.dagster_home / "logs").glob("event*"))
