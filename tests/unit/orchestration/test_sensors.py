"""What the sensors ask for when something arrives, and what they say when they do not."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.sources import Source
from pipelines.orchestration.jobs import FETCH_JOB, WAVE_JOB, fetch_job
from pipelines.orchestration.partitions import wave_partitions
from pipelines.orchestration.sensors import SURVEY_STEPS, delivery_sensor, source_sensor
from pipelines.settings import Settings

CONTRACTS = {
    "industry": ("industry_response", "industry_sample", "business_frame"),
    "public": ("public_response", "public_sample", "institution_frame"),
}
Deliver = Callable[..., Path]
Tick = Callable[..., dg.SensorResult]


@pytest.fixture
def deliver(settings: Settings) -> Deliver:
    """A delivery with a file for each contract of a survey, an hour old unless said otherwise."""

    def write(survey: str = "industry", wave: int = 2025, *, root: Path | None = None, **keys: Any) -> Path:
        name = keys.pop("name", f"{survey}-{wave}")
        folder = (root or settings.deliveries_dir) / name
        folder.mkdir(parents=True)
        files = []
        for contract in keys.pop("contracts", CONTRACTS[survey]):
            data = f"{name} {contract}".encode()
            (folder / f"{contract}.csv").write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            files.append({"file": f"{contract}.csv", "contract": contract, "sha256": sha256, "rows": 1})
        manifest = {
            "delivery": name,
            "survey": survey,
            "wave": wave,
            "sequence": 1,
            "question_version": "list-2022",
            "tech_list_version": "1",
            "collection_start": f"{wave}-08-01",
            "collection_end": f"{wave}-10-31",
            "sender": "contractor",
            "synthetic": True,
            "files": files,
            **keys,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        rest(folder)
        return folder

    return write


def rest(folder: Path) -> None:
    """Let an hour go by for a folder."""
    for path in folder.iterdir():
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def tick(settings: Settings, library: ContractLibrary, instance: dg.DagsterInstance) -> Tick:
    """Evaluates the sensor of deliveries, with the cursor of its last tick."""
    sensor = delivery_sensor(library, wave_partitions(2021))
    cursor: list[str | None] = [None]

    def evaluate() -> dg.SensorResult:
        context = dg.build_sensor_context(instance=instance, cursor=cursor[0], resources={"settings": settings})
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor[0] = result.cursor
        return result

    return evaluate


def asked(result: dg.SensorResult) -> list[tuple[str | None, list[str] | None]]:
    """Partition and, where it is not all, the assets of each run that was asked for."""
    return [
        (
            request.partition_key,
            None if request.asset_selection is None else [key.to_user_string() for key in request.asset_selection],
        )
        for request in result.run_requests or []
    ]


def reason(result: dg.SensorResult) -> str:
    assert result.run_requests == []
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""


def test_without_deliveries_there_is_nothing_to_do(tick: Tick) -> None:
    assert reason(tick()) == "nothing new"


def test_a_whole_wave_is_run_once(tick: Tick, deliver: Deliver) -> None:
    deliver("industry")
    deliver("public")
    result = tick()
    assert asked(result) == [("2025", None)]
    [request] = result.run_requests or []
    assert request.run_key is not None
    assert request.run_key.startswith("industry 2025 ")
    assert ", public 2025 " in request.run_key
    assert reason(tick()) == "nothing new"


def test_a_correction_runs_its_wave_again(tick: Tick, deliver: Deliver) -> None:
    deliver("industry")
    deliver("public")
    [first] = tick().run_requests or []
    deliver("industry", name="industry-2025-2", sequence=2, contracts=["industry_response"])
    result = tick()
    assert asked(result) == [("2025", None)]
    [second] = result.run_requests or []
    assert second.run_key != first.run_key


def test_a_survey_alone_goes_as_far_as_it_can(tick: Tick, deliver: Deliver, definitions: dg.Definitions) -> None:
    deliver("industry")
    result = tick()
    steps = [f"industry/{step}" for step in SURVEY_STEPS]
    assert asked(result) == [("2025", steps)]
    graph = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    assert {key for key in graph if key.startswith("industry/")} == set(steps)
    # The other one completes the wave
    deliver("public")
    assert asked(tick()) == [("2025", None)]


def test_a_wave_without_all_its_files_waits_and_says_for_what(tick: Tick, deliver: Deliver) -> None:
    deliver("industry", contracts=["industry_response"])
    said = reason(tick())
    assert "a file for the contract business_frame" in said
    assert "a file for the contract industry_sample" in said


def test_an_upload_is_waited_for(tick: Tick, deliver: Deliver) -> None:
    deliver("industry")
    deliver("public")
    tick()
    folder = deliver("industry", name="industry-2025-2", sequence=2, contracts=["industry_response"])
    (folder / "industry_response.csv").write_bytes(b"half")
    assert "industry-2025-2/industry_response.csv changed less than 60 s ago" in reason(tick())
    (folder / "industry_response.csv").write_bytes(b"whole")
    rest(folder)
    assert asked(tick()) == [("2025", None)]


def test_a_delivery_that_cannot_be_read_is_told_and_keeps_no_other_wave_from_running(
    tick: Tick, deliver: Deliver
) -> None:
    deliver("industry")
    deliver("public")
    (deliver("industry", 2024) / "manifest.json").write_text('{"survey": "industry", "wave": 2024}')
    (deliver("industry", 2023) / "manifest.json").write_text("{")
    assert asked(tick()) == [("2025", None)]
    said = reason(tick())
    assert "industry-2024/manifest.json" in said
    assert "industry-2023/manifest.json" in said
    assert "Field required" in said


def test_waves_run_one_after_the_other_the_oldest_first(
    tick: Tick, deliver: Deliver, instance: dg.DagsterInstance, definitions: dg.Definitions
) -> None:
    for wave in (2025, 2024):
        deliver("industry", wave)
        deliver("public", wave)
    assert asked(tick()) == [("2024", None)]
    job = definitions.resolve_job_def(WAVE_JOB)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "waits for the run of another wave" in reason(tick())
    instance.report_run_canceled(run)
    assert asked(tick()) == [("2025", None)]


def test_a_survey_that_ran_alone_is_run_with_the_wave_once_the_other_one_is_mended(
    tick: Tick, deliver: Deliver
) -> None:
    deliver("industry")
    deliver("public")
    assert asked(tick()) == [("2025", None)]
    # The same sequence twice stands in the way of one survey, while the other one is corrected
    twice = deliver("public", name="public-2025-2")
    deliver("industry", name="industry-2025-2", sequence=2, contracts=["industry_response"])
    result = tick()
    assert [partition for partition, selection in asked(result) if selection] == ["2025"]
    assert "sequence_repeated" in reason(tick())
    shutil.rmtree(twice)
    assert asked(tick()) == [("2025", None)]
    assert reason(tick()) == "nothing new"


def test_a_wave_in_the_future_is_no_partition_yet(tick: Tick, deliver: Deliver) -> None:
    deliver("industry", 2998)
    assert "wave 2998 lies in the future" in reason(tick())


def test_an_unknown_survey_is_told(tick: Tick, deliver: Deliver) -> None:
    manifest = deliver("industry") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"survey": "industry"', '"survey": "industri"'))
    assert "industri 2025: no such survey" in reason(tick())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def with_sources(library: ContractLibrary, *sources: dict[str, Any]) -> ContractLibrary:
    parsed = [
        Source.model_validate({"surveys": ["industry", "public"], "settle_seconds": 0, **keys}) for keys in sources
    ]
    return replace(library, sources=library.sources.model_copy(update={"sources": tuple(parsed)}))


def look(library: ContractLibrary, settings: Settings, instance: dg.DagsterInstance) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, resources={"settings": settings})
    result = source_sensor(library)(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_without_sources_it_says_so(library: ContractLibrary, settings: Settings, instance: dg.DagsterInstance) -> None:
    assert "names no source" in reason(look(library, settings, instance))


def test_what_is_new_at_a_source_is_fetched_by_the_job_and_then_run(
    library: ContractLibrary, settings: Settings, instance: dg.DagsterInstance, shop: Path, deliver: Deliver, tick: Tick
) -> None:
    deliver("industry", root=shop)
    deliver("public", root=shop)
    far = with_sources(library, {"id": "far", "url": f"file://{shop}"}, {"id": "gone", "url": f"file://{shop}/gone"})
    result = look(far, settings, instance)
    [request] = result.run_requests or []
    assert request.run_key == (look(far, settings, instance).run_requests or [])[0].run_key

    only = with_sources(library, {"id": "far", "url": f"file://{shop}"})
    done = fetch_job(settings).execute_in_process(resources={"settings": settings, "library": only}, instance=instance)
    assert done.success
    assert {path.name for path in settings.deliveries_dir.glob("[!.]*")} == {"industry-2025", "public-2025"}
    assert "gone" in reason(look(far, settings, instance))
    for folder in settings.deliveries_dir.glob("[!.]*"):
        rest(folder)
    assert asked(tick()) == [("2025", None)]


def test_a_fetch_at_work_is_not_doubled(
    library: ContractLibrary, settings: Settings, instance: dg.DagsterInstance, shop: Path, deliver: Deliver
) -> None:
    deliver("industry", root=shop)
    instance.create_run_for_job(fetch_job(settings), status=dg.DagsterRunStatus.STARTED)
    far = with_sources(library, {"id": "far", "url": f"file://{shop}"})
    assert reason(look(far, settings, instance)) == "a fetch is at work"


def test_a_fetch_that_failed_is_a_failed_run_that_says_why(
    library: ContractLibrary, settings: Settings, instance: dg.DagsterInstance, shop: Path, deliver: Deliver
) -> None:
    (deliver("industry", root=shop) / "industry_response.csv").write_bytes(b"other")
    deliver("public", root=shop)
    done = fetch_job(settings).execute_in_process(
        resources={"settings": settings, "library": with_sources(library, {"id": "far", "url": f"file://{shop}"})},
        instance=instance,
        raise_on_error=False,
    )
    assert not done.success
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "hash_differs" in str(failure.step_failure_data.error)
    assert [path.name for path in settings.deliveries_dir.glob("[!.]*")] == ["public-2025"]


def test_no_secret_reaches_the_instance(
    library: ContractLibrary,
    settings: Settings,
    instance: dg.DagsterInstance,
    shop: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A fetch and a look that fail at a server that refuses them, read back from Dagster's own store."""

    class Refusing(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403, f"not {self.headers['Authorization']}")

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    settings = replace(settings, environment={"AXSTAT_FAR_TOKEN": "marker-secret"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Refusing, directory=str(shop)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        keys = {"id": "far", "url": url, "index": "i.json", "credentials": {"token": "AXSTAT_FAR_TOKEN"}}
        far = with_sources(library, keys)
        said = reason(look(far, settings, instance))
        done = fetch_job(settings).execute_in_process(
            resources={"settings": settings, "library": far}, instance=instance, raise_on_error=False
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert not done.success
    assert "HTTP 403" in said
    events = "\n".join(str(event) for event in instance.all_logs(done.run_id))
    assert "HTTP 403" in events
    shown = capfd.readouterr()
    assert "marker-secret" not in said + events + shown.out + shown.err


@pytest.mark.parametrize("surveys", [("industry",), ("industry", "public")])
def test_dagster_can_start_what_is_asked_for(
    definitions: dg.Definitions, deliver: Deliver, instance: dg.DagsterInstance, settings: Settings, surveys: tuple[str]
) -> None:
    for survey in surveys:
        deliver(survey)
    repository = definitions.get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository, resources={"settings": settings})
    data = repository.get_sensor_def("new_deliveries").evaluate_tick(context)
    [request] = data.run_requests
    assert request.job_name in (None, WAVE_JOB)
    assert request.partition_key == "2025"
    job = definitions.resolve_job_def(WAVE_JOB).get_subset(
        asset_selection=None if request.asset_selection is None else set(request.asset_selection)
    )
    assert {key.path[0] for key in job.asset_layer.executable_asset_keys} >= set(surveys)
    assert (dg.AssetKey("release") in job.asset_layer.executable_asset_keys) == (len(surveys) == 2)


def test_they_are_off_until_a_person_switches_them_on(definitions: dg.Definitions) -> None:
    sensors = {sensor.name: sensor for sensor in definitions.get_repository_def().sensor_defs}
    assert {sensor.default_status for sensor in sensors.values()} == {dg.DefaultSensorStatus.STOPPED}
    asking = {name: [target.job_name for target in sensor.targets] for name, sensor in sensors.items()}
    assert asking == {"new_deliveries": [WAVE_JOB], "new_at_sources": [FETCH_JOB], "failure_notices": []}
