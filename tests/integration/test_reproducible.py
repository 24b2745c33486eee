"""The same deliveries in two places, each with a secret of its own, give the same releases to the byte."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pipelines.orchestration.runs import WaveRun
from pipelines.settings import Settings, load_settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("country")]


def published(settings: Settings) -> Mapping[str, bytes]:
    """Every published file by its place below the vintages, `latest` left out, which only names one of them."""
    root = settings.published_dir
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.glob("[0-9]*/**/*"))
        if path.is_file()
    }


def test_two_homes_publish_the_same_bytes(
    country, rerun: Callable[[Settings, Sequence[int] | None], list[WaveRun]], tmp_path: Path
) -> None:
    """Order and draws come from the sample, not from what the secret makes of a unit's number."""
    other = load_settings({"AXSTAT_HOME": str(tmp_path / "another" / "place")})
    shutil.copytree(country.settings.deliveries_dir, other.deliveries_dir)
    rerun(other, None)
    keys = [settings.warehouse_file.with_name("unit_key").read_text() for settings in (country.settings, other)]
    assert keys[0] != keys[1]
    mine, theirs = published(country.settings), published(other)
    assert len(mine) > 30 * len(country.runs)
    assert mine.keys() == theirs.keys()
    assert [name for name, content in mine.items() if content != theirs[name]] == []
