"""`reports/methodology/operations.md` against the code: names, settings, files that it has people write."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.environment import VARIABLES
from pipelines.orchestration.history import prepare_instance
from pipelines.orchestration.jobs import CHECK_JOB, FETCH_JOB, WAVE_JOB
from pipelines.orchestration.step_records import RETRIES
from pipelines.settings import Settings, load_settings

PAGE = (Path(__file__).parents[3] / "reports" / "methodology" / "operations.md").read_text(encoding="utf-8")


def names(section: str) -> list[str]:
    """First column of a table of the page."""
    table = PAGE.split(f"<!-- {section}:start -->")[1].split(f"<!-- {section}:end -->")[0]
    return re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_setting_is_explained_and_no_other() -> None:
    assert names("settings") == list(VARIABLES)


def test_everything_that_runs_by_itself_is_named_and_nothing_else(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    there = {one.name for one in (*repository.schedule_defs, *repository.sensor_defs)}
    assert set(names("automation")) == there
    for job in (WAVE_JOB, FETCH_JOB, CHECK_JOB):
        assert f"`{job}`" in PAGE
    assert RETRIES == 5
    assert "up to five times" in PAGE


def test_the_settings_file_of_the_page_is_accepted(tmp_path: Path) -> None:
    [content] = blocks("ini")
    path = tmp_path / "axstat.env"
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")
    settings = load_settings({"AXSTAT_SETTINGS_FILE": str(path)})
    assert settings.home == Path("/srv/axstat/data")
    assert settings.notices.mail is not None
    assert settings.json_logs


def test_the_configuration_of_the_page_is_ours_in_all_that_it_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    [content] = blocks("yaml")
    theirs = yaml.safe_load(content)
    written = yaml.safe_load((prepare_instance(settings) / "dagster.yaml").read_text(encoding="utf-8"))
    for name, value in theirs.items():
        if name != "storage":
            assert value.items() <= written[name].items(), name
    home = settings.dagster_home
    (home / "dagster.yaml").write_text(content, encoding="utf-8")
    assert prepare_instance(settings) == home
    from dagster._core.instance.ref import InstanceRef

    monkeypatch.setenv("AXSTAT_POSTGRES_URL", "postgresql+psycopg2://u:p@127.0.0.1:9/runs")
    # Loads, which checks it against Dagster's schema; nothing is connected to
    assert InstanceRef.from_dir(str(home)).storage_data.class_name == "DagsterPostgresStorage"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_the_units_of_the_page_are_units(tmp_path: Path) -> None:
    units = blocks("systemd")
    assert len(units) == 2
    for unit in units:
        name = re.findall(r"^ExecStart=.*--only (\w+)", unit, flags=re.MULTILINE)[0]
        path = tmp_path / f"axstat-{name}.service"
        # The program is not where the page has it; systemd looks for it
        path.write_text(unit.replace("/opt/axstat/.venv/bin/axstat", sys.executable), encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60, check=False
        )
        told = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
        assert done.returncode == 0, done.stderr
        assert told == []


def test_the_commands_of_the_page_exist() -> None:
    commands = set(re.findall(r"^(?:ExecStart=\S*/)?axstat ([a-z]+)((?: --[a-z]+)*)", PAGE, flags=re.MULTILINE))
    assert {name for name, _ in commands} == {"ui", "status"}
    for name, options in commands:
        shown = CliRunner().invoke(app, [name, "--help"]).output
        for option in options.split():
            assert option in shown, (name, option)
