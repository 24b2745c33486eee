"""A release comes out of its deliveries a second time, byte for byte, and a changed one does not pass."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.orchestration.replays import replay
from pipelines.release.replay import Replay
from pipelines.release.vintages import Vintage, folder_sha256
from pipelines.settings import Settings, load_settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("country")]


def rebuild(settings: Settings, vintage: Vintage) -> Replay:
    return replay(settings, vintage, on_event=lambda text, *, finished: None)


def state(settings: Settings) -> Mapping[str, str]:
    """All that a replay must leave as it is: warehouse, releases, deliveries."""
    return folder_sha256(settings.home)


def test_an_earlier_release_is_rebuilt_as_if_nothing_had_come_since(country) -> None:
    before = state(country.settings)
    found = rebuild(country.settings, Vintage(2022, 1))
    assert found.equal, str(found)
    assert len(found.files) > 30
    assert state(country.settings) == before


def test_a_tampered_file_of_the_last_release_is_found_and_the_others_are_equal(country, tmp_path: Path) -> None:
    other = load_settings({"AXSTAT_HOME": str(tmp_path / "home")})
    for folder in ("deliveries", "published"):
        shutil.copytree(country.settings.home / folder, other.home / folder, symlinks=True)
    rates = other.published_dir / "2023.1" / "csv" / "adoption_rate.csv"
    rates.write_text(rates.read_text(encoding="utf-8").replace(",0.", ",0.1", 1), encoding="utf-8")
    found = rebuild(other, Vintage(2023, 1))
    assert not found.equal
    assert [(one.file, one.state) for one in found.files if one.state != "equal"] == [
        ("csv/adoption_rate.csv", "published file changed")
    ]
    sent = next(other.deliveries_dir.glob("public-2022*/*.*"))
    changed = next(path for path in sorted(sent.parent.iterdir()) if path.name != "manifest.json")
    changed.write_bytes(changed.read_bytes() + b"\n")
    found = rebuild(other, Vintage(2023, 1))
    assert [fault.where for fault in found.faults] == [f"{sent.parent.name}/{changed.name}"]
    assert found.files == ()
