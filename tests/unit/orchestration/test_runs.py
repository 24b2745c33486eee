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
