"""What a replay lays out and how it compares; that the rebuilt bytes are the same is tested in tests/integration."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import AxstatError
from pipelines.release.replay import Replay, compare, lay_out
from pipelines.release.vintages import Vintage
from pipelines.settings import Settings

FIRST, SECOND = Vintage(2021, 1), Vintage(2022, 1)
Change = Callable[[Settings], object]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def deliver(settings: Settings, wave: int, sequence: int) -> dict[str, Any]:
    """A delivery of one file; what the register says of it."""
    name = f"public-{wave}-{sequence}"
    file = write(settings.deliveries_dir / name / "frame.csv", f"institution\n{wave}{sequence}\n")
    sent = {"file": file.name, "contract": "institution_frame", "sha256": sha256(file), "rows": 1}
    manifest = {
        "delivery": name, "survey": "public", "wave": wave, "sequence": sequence, "question_version": "v1",
        "tech_list_version": "1", "collection_start": f"{wave}-09-01", "collection_end": f"{wave}-10-31",
        "sender": "contractor", "synthetic": True, "files": [sent],
    }  # fmt: skip
    write(file.with_name("manifest.json"), json.dumps(manifest))
    return {"delivery": name, "file_name": file.name, "file_sha256": sent["sha256"]}


def publish(settings: Settings, vintage: Vintage, **rests_on: Any) -> Path:
    folder = settings.published_dir / str(vintage)
    files = [write(folder / name, f"{vintage} {name}") for name in ("axstat.xlsx", "csv/rate.csv")]
    manifest = {
        "files": {file.relative_to(folder).as_posix(): sha256(file) for file in files},
        "made_with": {"git_revision": "a" * 40, "contracts": {"marts/rate": "1.0.0"}},
        "deliveries": [], "edit_files": [], "outside_series": {}, "vintages_before": {}, **rests_on,
    }  # fmt: skip
    return write(folder / "manifest.json", json.dumps(manifest))


@pytest.fixture
def home(settings: Settings) -> Settings:
    """Two releases; the second rests on the first, two deliveries, an edit file and a reply; more came afterwards."""
    first = publish(settings, FIRST)
    edits = write(settings.edits_dir / "public-2022" / "001.csv", "contract\n")
    reply = write(settings.benchmarks_dir / "series" / "1" / "reply.json", "{}")
    publish(
        settings,
        SECOND,
        deliveries=[deliver(settings, 2021, 1), deliver(settings, 2022, 1)],
        edit_files=[{"survey": "public", "wave": 2022, "edit_sha256": sha256(edits)}],
        outside_series={"series/1/reply.json": sha256(reply)},
        vintages_before={str(FIRST): sha256(first)},
    )
    deliver(settings, 2022, 2)
    write(settings.edits_dir / "public-2022" / "002.csv", "later\n")
    write(settings.benchmarks_dir / "series" / "2" / "reply.json", "{ }")
    publish(settings, Vintage(2022, 2))
    return settings


def laid(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_the_release_rests_on_is_laid_out_and_nothing_that_came_later(home: Settings, tmp_path: Path) -> None:
    before = laid(home.home)
    assert lay_out(home, SECOND, tmp_path / "again") == ()
    assert laid(tmp_path / "again") == {
        "benchmarks/series/1/reply.json",
        "deliveries/public-2021-1/frame.csv",
        "deliveries/public-2021-1/manifest.json",
        "deliveries/public-2022-1/frame.csv",
        "deliveries/public-2022-1/manifest.json",
        "edits/public-2022/001.csv",
        "published/2021.1/axstat.xlsx",
        "published/2021.1/csv/rate.csv",
        "published/2021.1/manifest.json",
    }
    assert laid(home.home) == before


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda home: write(home.deliveries_dir / "public-2022-1" / "frame.csv", "x"), "public-2022-1/frame.csv"),
        (lambda home: (home.deliveries_dir / "public-2021-1" / "frame.csv").unlink(), "public-2021-1/frame.csv"),
        (lambda home: (home.deliveries_dir / "public-2021-1" / "manifest.json").unlink(), "delivery public-2021-1"),
        (lambda home: write(home.edits_dir / "public-2022" / "001.csv", "x"), "edits/public-2022"),
        (lambda home: (home.benchmarks_dir / "series" / "1" / "reply.json").unlink(), "benchmarks/series/1/reply.json"),
        (lambda home: write(home.benchmarks_dir / "series/1/reply.json", "[]"), "benchmarks/series/1/reply.json"),
        (lambda home: write(home.published_dir / "2021.1" / "manifest.json", "{}"), "published/2021.1/manifest.json"),
        (lambda home: (home.published_dir / "2021.1").rename(home.published_dir / "x"), "published/2021.1"),
    ],
)
def test_what_is_not_there_as_it_was_is_named(home: Settings, tmp_path: Path, change: Change, where: str) -> None:
    change(home)
    [fault] = lay_out(home, SECOND, tmp_path / "again")
    assert (fault.code, fault.where) == ("basis_missing", where)
    told = Replay(SECOND, (), (fault,), ())
    assert not told.equal
    assert str(told).endswith("2022.1: not rebuilt")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("deliveries", [{"delivery": "public-2021-1", "file_name": "../../secret", "file_sha256": "0"}]),
        ("edit_files", [{"survey": "../../public", "wave": 2022, "edit_sha256": "0"}]),
        ("outside_series", {"/etc/passwd": "0"}),
        ("vintages_before", {"../../elsewhere": "0"}),
    ],
)
def test_a_manifest_that_names_another_place_is_refused_before_anything_is_written(
    home: Settings, tmp_path: Path, part: str, value: object
) -> None:
    path = home.published_dir / str(SECOND) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {part: value}), encoding="utf-8")
    with pytest.raises(AxstatError, match="path_outside"):
        lay_out(home, SECOND, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_manifest_that_does_not_say_what_it_rests_on_cannot_be_replayed(home: Settings, tmp_path: Path) -> None:
    write(home.published_dir / "2022.1" / "manifest.json", '{"deliveries": [], "files": {}, "made_with": {}}')
    with pytest.raises(AxstatError, match="edit_files, outside_series, vintages_before"):
        lay_out(home, SECOND, tmp_path / "again")


def rebuilt(home: Settings, folder: Path, **made_with: object) -> Path:
    """The second release again, as it is, with something else in its manifest where asked for."""
    for name in laid(home.published_dir / str(SECOND)):
        write(folder / str(SECOND) / name, (home.published_dir / str(SECOND) / name).read_text(encoding="utf-8"))
    if made_with:
        path = folder / str(SECOND) / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        write(path, json.dumps(manifest | {"made_with": manifest["made_with"] | made_with}))
    return folder


def states(home: Settings, folder: Path) -> dict[str, str]:
    files, _ = compare(home.published_dir, folder, SECOND)
    return {one.file: one.state for one in files}


def test_the_same_files_are_equal(home: Settings, tmp_path: Path) -> None:
    files, reasons = compare(home.published_dir, rebuilt(home, tmp_path), SECOND)
    again = Replay(SECOND, files, (), reasons)
    assert again.equal
    assert str(again) == "2022.1: 3 of 3 files equal"


def test_files_that_differ_are_told_from_published_files_that_were_changed(home: Settings, tmp_path: Path) -> None:
    folder = rebuilt(home, tmp_path)
    write(home.published_dir / "2022.1" / "axstat.xlsx", "tampered")
    write(folder / "2022.1" / "csv" / "rate.csv", "another number")
    write(folder / "2022.1" / "new.csv", "")
    assert states(home, folder) == {
        "axstat.xlsx": "published file changed",
        "csv/rate.csv": "differs",
        "manifest.json": "equal",
        "new.csv": "not published",
    }
    (folder / "2022.1" / "csv" / "rate.csv").unlink()
    (home.published_dir / "2022.1" / "axstat.xlsx").unlink()
    assert states(home, folder)["csv/rate.csv"] == "not rebuilt"
    assert states(home, folder)["axstat.xlsx"] == "published file missing"


def test_a_file_changed_on_both_sides_alike_is_not_the_one_of_the_manifest(home: Settings, tmp_path: Path) -> None:
    write(home.published_dir / "2022.1" / "axstat.xlsx", "tampered")
    assert states(home, rebuilt(home, tmp_path))["axstat.xlsx"] == "published file changed"


def test_other_program_and_contracts_are_given_as_reasons(home: Settings, tmp_path: Path) -> None:
    folder = rebuilt(home, tmp_path, git_revision="b" * 40, contracts={"marts/rate": "1.1.0"})
    files, reasons = compare(home.published_dir, folder, SECOND)
    assert reasons == (
        "contracts marts/rate was 1.0.0, is 1.1.0",
        f"git_revision was {'a' * 40}, is {'b' * 40}",
    )
    told = str(Replay(SECOND, files, (), reasons)).splitlines()
    assert told[0] == "differs: manifest.json"
    assert told[-1] == "2022.1: 2 of 3 files equal"


def test_a_release_that_was_not_made_again_is_said_to_be(home: Settings, tmp_path: Path) -> None:
    files, reasons = compare(home.published_dir, tmp_path / "nothing", SECOND)
    assert {one.state for one in files} == {"not rebuilt"}
    assert reasons == ("the waves ran, but this release was not made again",)
