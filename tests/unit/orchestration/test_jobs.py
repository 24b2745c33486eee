"""What the nightly check finds, on made-up deliveries that are then damaged."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.jobs import check_deliveries, check_job
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory, library: ContractLibrary) -> Path:
    home = tmp_path_factory.mktemp("delivered")
    write_deliveries(home, library, seed=20240926, waves=(2021,), scale=0.01)
    return home


@pytest.fixture
def settings(tmp_path: Path, delivered: Path) -> Settings:
    shutil.copytree(delivered, tmp_path / "home")
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


def manifest(settings: Settings, delivery: str) -> Path:
    return settings.deliveries_dir / delivery / "manifest.json"


def test_deliveries_in_order_are_named(settings: Settings, library: ContractLibrary) -> None:
    assert check_deliveries(settings, library, now=LONG_AGO) == (["industry 2021", "public 2021"], [])
    assert not settings.warehouse_file.exists()


def damage(path: Path) -> str:
    file = path.parent / json.loads(path.read_text(encoding="utf-8"))["files"][0]["file"]
    with file.open("ab") as opened:
        opened.write(b"\n")
    return "hash_differs"


def remove(path: Path) -> str:
    (path.parent / json.loads(path.read_text(encoding="utf-8"))["files"][0]["file"]).unlink()
    return "missing_file"


def break_manifest(path: Path) -> str:
    path.write_text("{", encoding="utf-8")
    return "manifest"


def rename_survey(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"survey": "public"', '"survey": "publik"'), encoding="utf-8")
    return "unknown_survey"


@pytest.mark.parametrize("harm", [damage, remove, break_manifest, rename_survey])
def test_what_a_run_would_refuse_is_found_and_the_other_survey_is_not(
    settings: Settings, library: ContractLibrary, harm: Callable[[Path], str]
) -> None:
    code = harm(manifest(settings, "public-2021"))
    read, violations = check_deliveries(settings, library, now=LONG_AGO)
    assert read == ["industry 2021"]
    assert any(code in violation.code for violation in violations), violations


def test_a_delivery_that_is_due_and_not_there_is_found(settings: Settings, library: ContractLibrary) -> None:
    built, released = library.calendar.preparation_moment(2022), library.calendar.release_moment(2022)
    for now, due in (
        (built - timedelta(minutes=1), False),
        (built, True),
        (released - timedelta(minutes=1), True),
        (released, False),
    ):
        read, violations = check_deliveries(settings, library, now=now)
        assert read == ["industry 2021", "public 2021"]
        assert {violation.where for violation in violations} == (
            {"deliveries of industry 2022", "deliveries of public 2022"} if due else set()
        )


def test_the_job_fails_with_what_is_wrong(settings: Settings, library: ContractLibrary) -> None:
    resources = {"settings": settings, "library": library}
    job = check_job(settings)
    # As of today: made-up deliveries of 2021 alone, and a calendar that may have another wave due
    read, violations = check_deliveries(settings, library, now=datetime.now(UTC))
    assert len(read) == 2
    assert job.execute_in_process(resources=resources, raise_on_error=False).success is not bool(violations)
    damage(manifest(settings, "public-2021"))
    done = job.execute_in_process(resources=resources, raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "hash_differs" in str(failure.step_failure_data.error)


def test_jobs_log_json_where_the_settings_say_so(settings: Settings, library: ContractLibrary) -> None:
    loud = load_settings({"AXSTAT_HOME": str(settings.home), "AXSTAT_LOG": "json"})
    assert check_job(settings).run_config is None or not check_job(settings).run_config
    assert check_job(loud).run_config == {"loggers": {"json": {}}}
    with dg.DagsterInstance.ephemeral() as instance:
        check_job(loud).execute_in_process(
            resources={"settings": loud, "library": library}, instance=instance, raise_on_error=False
        )
