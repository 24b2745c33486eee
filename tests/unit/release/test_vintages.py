import json
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.release.vintages import (
    MANIFEST,
    Vintage,
    content_sha256,
    last_vintage,
    new_vintage,
    point_latest,
    publishing,
    vintages,
)
from tests.unit.warehouse.conftest import another


def released(published: Path, *names: str) -> None:
    for name in names:
        (published / name).mkdir(parents=True)


def test_order_is_by_number_not_by_letters(tmp_path: Path) -> None:
    released(tmp_path, "2021.10", "2021.9", "2022.1", "2020.2")
    assert [str(found) for found in vintages(tmp_path)] == ["2020.2", "2021.9", "2021.10", "2022.1"]
    assert last_vintage(tmp_path, 2021) == Vintage(2021, 10)


def test_other_names_are_no_vintages(tmp_path: Path) -> None:
    released(tmp_path, "2021.1", ".building-2021.2-x", "latest", "2021.2-old", "21.3", "2021")
    assert vintages(tmp_path) == [Vintage(2021, 1)]


def test_nothing_is_published_yet(tmp_path: Path) -> None:
    assert vintages(tmp_path / "published") == []
    assert last_vintage(tmp_path / "published", 2021) is None


def test_a_vintage_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    published = tmp_path / "published"
    with new_vintage(published, Vintage(2021, 1)) as folder:
        (folder / MANIFEST).write_text(json.dumps({"content_sha256": "abc"}), encoding="utf-8")
        assert vintages(published) == []
    assert vintages(published) == [Vintage(2021, 1)]
    assert [entry.name for entry in published.iterdir()] == ["2021.1"]
    assert content_sha256(published, Vintage(2021, 1)) == "abc"
    # A temporary folder is its owner's alone; a release is there to be read
    assert (published / "2021.1").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, stop: type[BaseException]) -> None:
    def break_off() -> None:
        with new_vintage(tmp_path, Vintage(2021, 1)) as folder:
            (folder / "half").write_text("half")
            raise stop

    with pytest.raises(stop):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_a_published_vintage_is_never_overwritten(tmp_path: Path) -> None:
    released(tmp_path, "2021.1")
    (tmp_path / "2021.1" / "kept").write_text("kept")
    with pytest.raises(AxstatError, match="vintage_exists"), new_vintage(tmp_path, Vintage(2021, 1)):
        pass
    assert (tmp_path / "2021.1" / "kept").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["2021.1"]


def test_latest_is_the_newest_wave_whatever_ran_last(tmp_path: Path) -> None:
    released(tmp_path, "2022.1")
    assert point_latest(tmp_path) == Vintage(2022, 1)
    # A correction of an older wave comes later and must not hide the newer one
    released(tmp_path, "2021.3")
    assert point_latest(tmp_path) == Vintage(2022, 1)
    released(tmp_path, "2022.2")
    assert point_latest(tmp_path) == Vintage(2022, 2)
    # Relative, so that the data home may be moved
    assert str((tmp_path / "latest").readlink()) == "2022.2"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["2021.3", "2022.1", "2022.2", "latest"]


def test_without_the_right_to_link_the_release_still_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: str, target_is_directory: bool = False) -> None:
        raise OSError("a required privilege is not held by the client")

    released(tmp_path, "2021.1")
    monkeypatch.setattr(Path, "symlink_to", refused)
    with pytest.raises(AxstatError, match=r"(?s)latest_link.*privilege.*developer mode"):
        point_latest(tmp_path)
    assert vintages(tmp_path) == [Vintage(2021, 1)]


def test_what_a_killed_release_left_is_gone_before_the_next_one(tmp_path: Path) -> None:
    published, elsewhere = tmp_path / "published", tmp_path / "pre_access"
    released(published, "2021.1", ".building-2021.2-x/parquet")
    released(elsewhere, ".building-2021.2-y", "2021.2")
    (published / ".latest-77").symlink_to("2021.1", target_is_directory=True)
    with publishing(published, elsewhere):
        assert [entry.name for entry in published.iterdir()] == ["2021.1"]
        assert [entry.name for entry in elsewhere.iterdir()] == ["2021.2"]


def test_only_one_process_makes_releases_and_who_waits_is_told_which(tmp_path: Path) -> None:
    published = tmp_path / "published"
    released(published, ".building-2021.1-x")
    with another(published) as process:
        with pytest.raises(AxstatError) as raised, publishing(published, timeout=0.1):
            pass
        # What the other one builds in stays
        assert (published / ".building-2021.1-x").is_dir()
    assert raised.value.code == "publishing_locked"
    assert f"process {process.pid} on" in raised.value.got
