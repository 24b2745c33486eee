"""A backup is whole, its owner's alone, and comes back as it was or not at all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError, ViolationsError
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.backup import MANIFEST, Backup, back_up, restore
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from tests.unit.warehouse.conftest import another, diagnostics

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A small home: a delivery, an edit file, a reply, a release, a warehouse, and what is not whole yet."""
    made = load_settings({"AXSTAT_HOME": str(tmp_path / "home")})
    for place, content in {
        "deliveries/industry-2025/answers.csv": "a;b\n",
        "deliveries/.contractor.public-2025/answers.csv": "half of it",
        "edits/industry-2025/001.csv": "contract,row\n",
        "benchmarks/eurostat_ai_size/reply.json": "{}",
        "published/2025.1/manifest.json": "{}",
        "published/.building-2025.2-x/axstat.duckdb": "half of it",
        "dagster/dagster.yaml": "telemetry: {enabled: false}\n",
        "dagster/history/runs/1.db": "a run",
        "pre_access/2025.2/manifest.json": "{}",
    }.items():
        (made.home / place).parent.mkdir(parents=True, exist_ok=True)
        (made.home / place).write_text(content, encoding="utf-8")
    (made.published_dir / "latest").symlink_to("2025.1", target_is_directory=True)
    return made


@pytest.fixture
def filled(settings: Settings, catalogue: SqlCatalogue, library: ContractLibrary) -> Warehouse:
    made = Warehouse(settings.warehouse_file, catalogue, library, lock_timeout=0.2)
    with made.session() as session:
        session.append("mart.weight_diagnostic", diagnostics((2025, 1.5)))
    return made


@pytest.fixture
def made(settings: Settings, filled: Warehouse, tmp_path: Path) -> Backup:
    return back_up(settings, filled, to=tmp_path / "backups", now=NOW)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def everything_below(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (path for path in folder.rglob("*") if not path.is_symlink())


def test_what_cannot_be_made_again_is_in_it_and_nothing_half_done(made: Backup) -> None:
    assert made.folder.name == "axstat-20260301T123005Z"
    assert sorted(files(made.folder)) == [
        MANIFEST,
        "home/benchmarks/eurostat_ai_size/reply.json",
        "home/dagster/dagster.yaml",
        "home/deliveries/industry-2025/answers.csv",
        "home/edits/industry-2025/001.csv",
        "home/published/2025.1/manifest.json",
        "home/warehouse/axstat.duckdb",
        "home/warehouse/unit_key",
    ]
    assert [path.name for path in made.folder.parent.iterdir()] == [made.folder.name]


def test_it_is_its_owners_alone(made: Backup) -> None:
    assert {path.stat().st_mode & 0o077 for path in everything_below(made.folder)} == {0}


def test_it_tells_what_it_holds_and_no_secret(made: Backup, settings: Settings) -> None:
    told = json.loads((made.folder / MANIFEST).read_text(encoding="utf-8"))
    assert told["layout"] == made.layout
    assert told["latest"] == "2025.1"
    assert "7 files" in str(made)
    secret = (settings.warehouse_file.parent / "unit_key").read_text(encoding="ascii").strip()
    assert secret not in (made.folder / MANIFEST).read_text(encoding="utf-8")


def test_it_comes_back_as_it_was(
    made: Backup, settings: Settings, filled: Warehouse, tmp_path: Path, library: ContractLibrary
) -> None:
    back = restore(made.folder, into=tmp_path / "new")
    assert back.files == made.files
    assert files(tmp_path / "new") == {
        name.removeprefix("home/"): content for name, content in files(made.folder).items() if name != MANIFEST
    }
    there = load_settings({"AXSTAT_HOME": str(tmp_path / "new")})
    assert (there.published_dir / "latest").readlink() == Path("2025.1")
    with Warehouse(there.warehouse_file, filled.catalogue, library).session() as session:
        assert session.table("mart.weight_diagnostic")["value"].to_list() == [1.5]


def test_microdata_come_back_for_their_owner_and_releases_for_all(made: Backup, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        restore(made.folder, into=tmp_path / "new")
    finally:
        os.umask(before)
    for part in ("deliveries", "edits", "warehouse", "benchmarks", "dagster"):
        assert {path.stat().st_mode & 0o077 for path in everything_below(tmp_path / "new" / part)} == {0}, part
    published = everything_below(tmp_path / "new" / "published")
    assert {path.stat().st_mode & 0o055 for path in published} == {0o055, 0o044}


def test_a_linked_delivery_is_copied_with_what_is_behind_the_link(
    settings: Settings, filled: Warehouse, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "answers.csv").write_text("far\n", encoding="utf-8")
    (settings.deliveries_dir / "public-2025").symlink_to(elsewhere, target_is_directory=True)
    made = back_up(settings, filled, to=tmp_path / "backups", now=NOW)
    assert files(made.folder)["home/deliveries/public-2025/answers.csv"] == b"far\n"


def test_what_a_killed_run_left_in_the_log_is_in_it(
    settings: Settings, filled: Warehouse, tmp_path: Path, library: ContractLibrary
) -> None:
    killed = """
import duckdb, os, sys
row = "select 'industry' as survey, 2024 as wave, 'd0' as diagnostic, 'final' as step, 2.5 as value"
connection = duckdb.connect(sys.argv[1])
connection.execute("insert into mart.weight_diagnostic by name " + row)
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", killed, str(filled.path)], check=False)
    assert filled.path.with_suffix(".duckdb.wal").stat().st_size > 0
    made = back_up(settings, filled, to=tmp_path / "backups", now=NOW)
    restore(made.folder, into=tmp_path / "new")
    there = load_settings({"AXSTAT_HOME": str(tmp_path / "new")})
    with Warehouse(there.warehouse_file, filled.catalogue, library).session() as session:
        assert session.table("mart.weight_diagnostic")["value"].sort().to_list() == [1.5, 2.5]


def test_a_home_that_holds_something_is_left_alone(made: Backup, settings: Settings) -> None:
    before = files(settings.home)
    with pytest.raises(AxstatError) as raised:
        restore(made.folder, into=settings.home)
    assert raised.value.code == "home_not_empty"
    assert files(settings.home) == before


def test_an_empty_folder_may_take_it(made: Backup, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    restore(made.folder, into=tmp_path / "empty")
    assert (tmp_path / "empty" / "warehouse" / "unit_key").is_file()


def flip(folder: Path) -> None:
    """One bit of the warehouse."""
    path = folder / "home" / "warehouse" / "axstat.duckdb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a bit": (flip, "damaged_file", "warehouse/axstat.duckdb"),
    "cut": (lambda to: (to / "home/edits/industry-2025/001.csv").write_text(""), "damaged_file", "edits"),
    "lost": (lambda to: (to / "home/warehouse/unit_key").unlink(), "missing_file", "warehouse/unit_key"),
    "more": (lambda to: (to / "home/deliveries/new.csv").write_text("x"), "unknown_file", "deliveries/new.csv"),
    "a link": (
        lambda to: (to / "home/deliveries/away").symlink_to("/etc/passwd"), "unknown_file", "deliveries/away"
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_refused_with_what_is_damaged(made: Backup, tmp_path: Path, damage: str) -> None:
    do, code, where = DAMAGES[damage]
    do(made.folder)
    with pytest.raises(ViolationsError) as raised:
        restore(made.folder, into=tmp_path / "new")
    assert [violation.code for violation in raised.value.violations] == [code]
    assert where in str(raised.value)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new-*"))


def test_all_damages_are_told_at_once(made: Backup, tmp_path: Path) -> None:
    for do, _, _ in DAMAGES.values():
        do(made.folder)
    with pytest.raises(ViolationsError) as raised:
        restore(made.folder, into=tmp_path / "new")
    assert len(raised.value.violations) == len(DAMAGES)


def manifest_with(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
        (folder / MANIFEST).write_text(json.dumps(told), encoding="utf-8")

    return change


ENTRY = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_text("{half of"),
        lambda folder: (folder / MANIFEST).write_text("[]"),
        manifest_with(form="axstat backup 2"),
        manifest_with(files={"a": {"sha256": "short", "bytes": 1}}),
        manifest_with(files={"../outside": ENTRY}),
        manifest_with(files={"/outside": ENTRY}),
        manifest_with(files={"deliveries/../../outside": ENTRY}),
        manifest_with(files={"c:outside": ENTRY}),
        manifest_with(latest="../../outside"),
        lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    ],
)
def test_what_is_no_backup_is_refused(made: Backup, tmp_path: Path, change: Callable[[Path], object]) -> None:
    change(made.folder)
    with pytest.raises(AxstatError) as raised:
        restore(made.folder, into=tmp_path / "new")
    assert raised.value.code == "not_a_backup"
    assert not (tmp_path / "new").exists()


def test_a_warehouse_without_its_secret_is_not_backed_up(settings: Settings, filled: Warehouse, tmp_path: Path) -> None:
    filled.key_file.unlink()
    with pytest.raises(AxstatError) as raised:
        back_up(settings, filled, to=tmp_path / "backups", now=NOW)
    assert raised.value.code == "unit_key_missing"
    assert not any((tmp_path / "backups").iterdir())


@pytest.mark.parametrize("inside", ["deliveries/backups", "published", "warehouse"])
def test_a_backup_is_not_made_into_what_is_copied(settings: Settings, filled: Warehouse, inside: str) -> None:
    with pytest.raises(AxstatError) as raised:
        back_up(settings, filled, to=settings.home / inside, now=NOW)
    assert raised.value.code == "no_backup"


def test_nothing_is_no_backup(tmp_path: Path, catalogue: SqlCatalogue, library: ContractLibrary) -> None:
    settings = load_settings({"AXSTAT_HOME": str(tmp_path / "nothing")})
    with pytest.raises(AxstatError, match="nothing to copy"):
        back_up(settings, Warehouse(settings.warehouse_file, catalogue, library), to=tmp_path / "backups", now=NOW)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("what", ["warehouse/axstat.duckdb", "published"])
def test_a_run_or_release_that_is_at_work_is_waited_for_and_named(
    settings: Settings, filled: Warehouse, tmp_path: Path, what: str
) -> None:
    with another(settings.home / what) as process, pytest.raises(AxstatError) as raised:
        back_up(settings, filled, to=tmp_path / "backups", now=NOW)
    assert raised.value.code == ("publishing_locked" if what == "published" else "warehouse_locked")
    assert f"process {process.pid} on" in raised.value.got
    assert not any((tmp_path / "backups").iterdir())
