import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.orchestration.runs import RunFailedError, WaveRun, run_waves
from pipelines.settings import Settings


def silent(text: str, *, finished: bool) -> None:
    """Nobody looks at the progress of these runs."""


def test_a_failed_run_lists_every_finding() -> None:
    text = str(RunFailedError(2025, ["[weights] industry 2025: 1 offending row(s)", "[wrong_wave] delivery d1"]))
    assert "[run_failed] wave 2025" in text
    assert "2 failure(s)" in text
    assert "nothing of it was published" in text
    assert text.endswith("\n[weights] industry 2025: 1 offending row(s)\n[wrong_wave] delivery d1")


@pytest.mark.parametrize(("new", "said"), [(True, "published 2025.2"), (False, "unchanged, still 2025.2")])
def test_a_run_says_whether_it_changed_anything(new: bool, said: str) -> None:
    run = WaveRun(wave=2025, release="2025.2", folder=Path("published/2025.2"), new=new, seconds=12.34)
    assert str(run) == f"wave 2025: {said} (12.3 s)\n  {Path('published/2025.2')}"


def test_a_run_that_is_held_says_until_when() -> None:
    run = WaveRun(wave=2026, release=None, folder=None, new=False, seconds=1.0, held="[before_publication] …")
    assert str(run) == "wave 2026: built, not published (1.0 s)\n[before_publication] …"


def test_without_deliveries_it_says_where_they_go(settings: Settings) -> None:
    with pytest.raises(AxstatError, match="no_deliveries") as caught:
        run_waves(settings, None, on_event=silent)
    assert caught.value.where == str(settings.deliveries_dir)
    assert "axstat synth" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM between processes")
def test_what_the_ui_started_ends_with_it(settings: Settings, tmp_path: Path) -> None:
    """A service manager ends `axstat ui` by SIGTERM to that one process."""
    noted = tmp_path / "pid"
    # In the place of dagster: notes its process id and arguments, and ends as dagster dev does, by itself
    stand_in = tmp_path / "dagster.py"
    stand_in.write_text(
        textwrap.dedent(f"""\
            import os, pathlib, signal, sys, time
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            part = pathlib.Path({str(noted) + ".part"!r})
            part.write_text("\\n".join([str(os.getpid()), os.environ["DAGSTER_DISABLE_TELEMETRY"], *sys.argv[1:]]))
            part.rename({str(noted)!r})
            time.sleep(60)
            """),
        encoding="utf-8",
    )
    serving = (
        "import os, sys; from pipelines.orchestration.runs import serve_ui; from pipelines.settings import *;"
        f"os.environ['PYTHONPATH'] = {str(tmp_path)!r}; sys.exit(serve_ui(load_settings(), port=1234))"
    )
    environment = os.environ | {"AXSTAT_HOME": str(settings.home)}
    with subprocess.Popen([sys.executable, "-c", serving], env=environment) as parent:
        deadline = time.monotonic() + 60
        while not noted.exists():
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child, telemetry, *arguments = noted.read_text(encoding="utf-8").split("\n")
        parent.send_signal(signal.SIGTERM)
        # The exit code is that of what it started, which it has waited for
        assert parent.wait(timeout=30) == 7
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)
    assert telemetry == "yes"
    assert arguments == ["dev", "-w", str(settings.workspace_file), "-h", "127.0.0.1", "-p", "1234"]
