"""Which uploads are over, and when a wave counts as changed."""

import os
from pathlib import Path

import pytest

from pipelines.intake.arrivals import wave_arrivals
from pipelines.intake.manifest import look_for_deliveries
from tests.unit.intake.conftest import Deliver

NOW = 2_000_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deliveries"


def aged(folder: Path, seconds: float) -> Path:
    for path in folder.rglob("*"):
        os.utime(path, (NOW - seconds, NOW - seconds))
    return folder


def arrivals(root: Path) -> dict[tuple[str, int], tuple[str, tuple[str, ...]]]:
    found = wave_arrivals(look_for_deliveries(root).manifests, settle_seconds=60, now=NOW)
    return {(one.survey, one.wave): (one.fingerprint, one.unfinished) for one in found}


def test_an_upload_is_over_when_its_files_are_there_and_at_rest(root: Path, deliver: Deliver) -> None:
    aged(deliver(b"a", folder="old"), 61)
    young = aged(deliver(b"a", folder="young", wave=2024, collection_start="2024-08-01"), 61)
    os.utime(young / "data.csv", (NOW - 59, NOW - 59))
    part = aged(deliver(b"a", folder="part", survey="public"), 61)
    (part / "data.csv").unlink()
    found = arrivals(root)
    assert list(found) == [("industry", 2024), ("industry", 2025), ("public", 2025)]
    assert found["industry", 2025][1] == ()
    assert found["industry", 2024][1] == ("young/data.csv changed less than 60 s ago",)
    assert found["public", 2025][1] == ("part/data.csv is not there yet",)


def test_the_fingerprint_is_that_of_what_was_sent(root: Path, deliver: Deliver) -> None:
    folder = aged(deliver(b"a", folder="one"), 100)
    first = arrivals(root)["industry", 2025][0]
    aged(folder, 500)
    assert arrivals(root)["industry", 2025][0] == first
    # The rest of an upload that stopped half way
    (folder / "data.csv").write_bytes(b"ab")
    second = arrivals(root)["industry", 2025][0]
    assert second != first
    deliver(b"b", folder="two", sequence=2)
    assert arrivals(root)["industry", 2025][0] not in (first, second)


def test_a_broken_manifest_stands_in_the_way_of_its_own_wave_alone(root: Path, deliver: Deliver) -> None:
    deliver(b"a", folder="good")
    deliver(b"a", folder="bad", wave=2024, sequence=0)
    (deliver(b"a", folder="worse") / "manifest.json").write_text("{")
    deliver(b"b", folder="again", delivery="good", sequence=2)
    found = look_for_deliveries(root)
    assert [one.folder.name for one in found.manifests] == ["good", "again"]
    [repeated] = found.violations(survey="industry", wave=2025)
    assert repeated.code == "delivery_repeated"
    [of_bad] = found.violations(survey="industry", wave=2024)
    assert "bad/manifest.json" in of_bad.where
    assert found.violations(survey="public", wave=2024) == []
    [unplaced] = found.unplaced
    assert "worse/manifest.json" in unplaced.where
