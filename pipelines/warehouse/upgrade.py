"""Bringing a warehouse of an older layout to that of this version of axstat.

Belongs here: the copy that is kept, the one transaction. Does not belong here: the statements (`sql/migrations/`),
which of them are needed (migrations), backups of the data home (backup).
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import AxstatError
from pipelines.warehouse.database import VERSION_TABLE, Layout, Warehouse, create_tables
from pipelines.warehouse.migrations import Migration, load_migrations, path_from


@dataclass(frozen=True)
class Migrated:
    """What was done; `copy`: the file as it was, None where nothing was to do."""

    before: Layout
    after: Layout
    done: tuple[Migration, ...]
    copy: Path | None

    def __str__(self) -> str:
        if self.copy is None:
            return f"nothing to do: {self.after}"
        steps = (f"  {one.number}: {one.what}" for one in self.done)
        return "\n".join((f"from {self.before} to {self.after}", *steps, f"  as it was: {self.copy}"))


def migrate(warehouse: Warehouse) -> Migrated:
    """Bring the file to the newest layout: all of it, or nothing. Releases are not touched.

    Raises:
        AxstatError: there is no file, or none that can be migrated; a migration fails, or leaves other tables than
            those of the contracts.
    """
    if not warehouse.path.exists():
        raise AxstatError(
            "no_warehouse",
            where=str(warehouse.path),
            expected="a warehouse",
            got="no file",
            hint="nothing has to be migrated: `axstat run` makes a new one",
        )
    with warehouse.alone():
        with warehouse.as_it_is() as connection:
            stored = warehouse.stored_layout(connection)
        wanted = warehouse.wanted_layout()
        ways = path_from(stored.sha256, load_migrations(warehouse.catalogue.root)) if stored else None
        if stored is None or stored == wanted or ways is None or stored.version >= wanted.version:
            # It is as it should be, or the words of why it is not are those of every other command
            with warehouse.session():
                return Migrated(wanted, wanted, (), None)
        copy = _copy(warehouse.path, stored)
        try:
            with warehouse.as_it_is() as connection:
                for migration in ways:
                    connection.execute(migration.sql)
                create_tables(connection, warehouse.library)
                warehouse.require_columns(connection)
                connection.execute(
                    f"update {VERSION_TABLE} set version = $version, layout_sha256 = $layout",
                    {"version": wanted.version, "layout": wanted.sha256},
                )
        except BaseException:
            # The file is as it was
            copy.unlink()
            raise
    return Migrated(stored, wanted, ways, copy)


def _copy(path: Path, layout: Layout) -> Path:
    """A copy beside the file, for its owner alone; to be made while nothing has the file open."""
    copy, number = path.with_name(f"{path.stem}.layout-{layout.version}{path.suffix}"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.stem}.layout-{layout.version}-{number}{path.suffix}")
    building = path.with_name(f".{copy.name}.building")
    building.unlink(missing_ok=True)
    building.touch(mode=0o600)
    shutil.copyfile(path, building)
    with building.open("rb") as opened:
        os.fsync(opened.fileno())
    return building.replace(copy)
