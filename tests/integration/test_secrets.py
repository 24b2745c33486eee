"""A marker in the place of every secret: a fetch that fails, a wave that runs, one that fails; what is left of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pipelines.contracts.library import load_library
from pipelines.environment import VARIABLES
from pipelines.synthetic.country import write_deliveries

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEED, SCALE, WAVE = 20240926, 0.01, 2021
MARKER = "mark3r"
# Variables that hold a secret; the others are shown where they help
SECRETS = {
    "AXSTAT_SMTP_USER": f"user-{MARKER}",
    "AXSTAT_SMTP_PASSWORD": f"password-{MARKER}",
    "AXSTAT_WEBHOOK_URL": f"https://127.0.0.1:9/hooks/{MARKER}",
    "AXSTAT_WEBHOOK_TOKEN": f"token-{MARKER}",
    "AXSTAT_FAR_TOKEN": f"source-{MARKER}",
    "KOSIS_API_KEY": f"key-{MARKER}",
}
OPEN = {
    "AXSTAT_SMTP_HOST": "127.0.0.1",
    "AXSTAT_SMTP_PORT": "9",
    "AXSTAT_NOTICE_FROM": "axstat@example.org",
    "AXSTAT_NOTICE_TO": "kim@example.org",
    "AXSTAT_LOG": "json",
}
# Of `axstat estimate` alone; a token in the address is looked for by tests/unit/test_settings.py
ENGINE = ("AXSTAT_ENGINE", "AXSTAT_MEMORY_LIMIT")
# PostgreSQL's password is looked for by test_operations.py, in the database too
ELSEWHERE = {"AXSTAT_HOME", "AXSTAT_SETTINGS_FILE", "AXSTAT_POSTGRES_URL", "AXSTAT_SMTP_SECURITY", *ENGINE}


def checkout(folder: Path) -> Path:
    """A copy of the contracts with a source that nobody answers at, beside the program as it is."""
    for name in ("pipelines", "sql", "reports/annual", "reports/methodology", "workspace.yaml", "data_contracts"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    path = folder / "data_contracts" / "sources.yaml"
    sources = yaml.safe_load(path.read_text(encoding="utf-8"))
    sources["sources"] = [
        {
            "id": "far",
            "surveys": ["industry"],
            "url": "http://127.0.0.1:9",
            "deliveries": ["industry-2099"],
            "credentials": {"token": "AXSTAT_FAR_TOKEN"},
            "limits": {"attempts": 1, "stall_seconds": 1},
        }
    ]
    path.write_text(yaml.safe_dump(sources, allow_unicode=True), encoding="utf-8")
    return folder


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "file"])
def test_no_secret_is_left_in_anything_that_is_written_or_shown(tmp_path: Path, in_file: bool) -> None:
    assert set(VARIABLES) | {"AXSTAT_FAR_TOKEN", "KOSIS_API_KEY"} == {*SECRETS, *OPEN, *ELSEWHERE}
    home, program = tmp_path / "home", checkout(tmp_path / "program")
    write_deliveries(home, load_library(ROOT / "data_contracts"), seed=SEED, waves=(WAVE,), scale=SCALE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AXSTAT_", "DAGSTER_"))}
    environment = kept | OPEN | {"AXSTAT_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    if in_file:
        file = tmp_path / "secrets.env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()), encoding="utf-8")
        environment["AXSTAT_SETTINGS_FILE"] = str(file)
    else:
        environment |= SECRETS

    told = [
        command(program, environment, "run", "--wave", str(WAVE), status=0),
        command(program, environment, "fetch", status=1),
        command(program, environment, "status", "--json", status=0),
    ]
    public = home / "deliveries" / f"public-{WAVE}"
    next(public.glob("*.csv")).write_bytes(b"nothing")
    told.append(command(program, environment, "run", "--wave", str(WAVE), status=1))
    told.append(command(program, environment, "--debug", "fetch", status=1))

    assert "[source_fault] source far" in told[1]
    for text in told:
        assert MARKER not in text
    written = [path for path in home.rglob("*") if path.is_file()]
    assert (home / "dagster" / "dagster.yaml") in written
    assert any(path.name == "manifest.json" and "published" in path.parts for path in written)
    for path in written:
        assert MARKER.encode() not in path.read_bytes(), path


def command(program: Path, environment: Mapping[str, str], *arguments: str, status: int) -> str:
    """What the command says, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=program,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
