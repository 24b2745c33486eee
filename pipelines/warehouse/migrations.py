"""The layouts that the warehouse has had, and the statements that lead from each to the next (`sql/migrations/`).

Belongs here: reading the numbered files, which of them lead from one layout to another, the hash of a layout. Does not
belong here: running them (upgrade), opening a file (database).

A layout is known by the hash over the names of tables and columns, types and NOT NULLs. The newest one's stands in the
last file: who changes a contract of a table writes the next file.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError

FOLDER = "migrations"
_FILE = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+\.sql$")
_HEADER = re.compile(
    r"-- migration (?P<number>\d+): (?P<what>\S.*)\n-- from: (?P<before>[0-9a-f]{64})\n-- to: (?P<after>[0-9a-f]{64})\n"
)


@dataclass(frozen=True)
class Migration:
    """One file: what leads to layout `number` from the one before it.

    Attributes:
        what: what changed, for people.
        before, after: hashes of the two layouts.
        sql: its statements; tables that are only new are made from the contracts afterwards.
    """

    number: int
    what: str
    before: str
    after: str
    sql: str


def load_migrations(sql_root: Path) -> tuple[Migration, ...]:
    """All files of the folder, oldest first.

    Raises:
        AxstatError: no file; a name or header that is none; numbers or hashes that do not follow on each other.
    """
    found: list[Migration] = []
    for path in sorted((sql_root / FOLDER).glob("*.sql")):
        name, sql = _FILE.match(path.name), path.read_text(encoding="utf-8")
        header = _HEADER.match(sql)
        if name is None or header is None or int(name["number"]) != int(header["number"]):
            raise _broken(
                path, "NNNN_what.sql that begins `-- migration N: …`, `-- from: sha256`, `-- to: sha256`", sql
            )
        made = Migration(int(header["number"]), header["what"], header["before"], header["after"], sql)
        if found and (made.number, made.before) != (found[-1].number + 1, found[-1].after):
            wanted = f"migration {found[-1].number + 1} from layout {found[-1].after}"
            raise _broken(path, wanted, f"migration {made.number} from layout {made.before}")
        found.append(made)
    if not found:
        raise _broken(sql_root / FOLDER, "the migrations that come with the program", "none")
    return tuple(found)


def path_from(layout_sha256: str, migrations: Sequence[Migration]) -> tuple[Migration, ...] | None:
    """What leads from a layout to the newest one, in order; None: no way does."""
    for place, migration in enumerate(migrations):
        if migration.before == layout_sha256:
            return tuple(migrations[place:])
    return () if migrations[-1].after == layout_sha256 else None


def layout_sha256(library: ContractLibrary) -> str:
    """Hash of table names, column names, types and NOT NULLs: what a stored table cannot follow by itself."""
    digest = hashlib.sha256()
    for name in sorted(library.tables):
        columns = [(column.name, column.type, column.required) for column in library.tables[name].columns]
        digest.update(repr((name, columns)).encode())
    return digest.hexdigest()


def _broken(path: Path, expected: str, got: str) -> AxstatError:
    return AxstatError(
        "broken_migrations",
        where=str(path),
        expected=expected,
        got="; ".join(got.splitlines()[:3]),
        hint="run axstat from a whole checkout or an installed wheel; who changes the contract of a table adds the "
        "next file, with the hash that the test of the migrations names",
    )
