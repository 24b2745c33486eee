"""What the data home knows already: the frame, the sample and the last wave that rules hold a file against.

Belongs here: copying from the data home's warehouse what the rules of one contract read. Does not belong here: the
rules (contracts), running them (warehouse).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.rules import input_wave, rule_tables

# A run has the file, or another version of axstat made it: the check goes on without what is in it, and says so.
_CANNOT_BE_READ = ("warehouse_locked", "warehouse_version", "unit_key_missing", "unit_key_differs")
_SECONDS_TO_WAIT = 2.0


@dataclass(frozen=True)
class KnownRows:
    """Rows of staging tables, one frame a table, and why there are none where the warehouse could not be read.

    `key_file` holds the secret by which units are named in them.
    """

    tables: Mapping[str, pl.DataFrame]
    problem: str | None = None
    key_file: Path | None = None


def known_rows(
    settings: Settings, catalogue: SqlCatalogue, library: ContractLibrary, contract: str, *, survey: str, wave: int
) -> KnownRows:
    """Copy what the SQL rules of `contract` read beside the file; nothing is written, no warehouse is made.

    Raises:
        AxstatError: the data home's warehouse is damaged.
    """
    wanted = {name for rule in library.deliveries[contract].sql_rules for name in rule.reads}
    if not wanted or not settings.warehouse_file.is_file():
        return KnownRows({})
    warehouse = Warehouse(settings.warehouse_file, catalogue, library, lock_timeout=_SECONDS_TO_WAIT)
    copied = {}
    try:
        with warehouse.session() as session:
            for name, table in rule_tables(library.surveys[survey], contract).items():
                there = input_wave(session, library, name, table, survey, wave) if name in wanted else None
                if there is not None:
                    copied[table] = session.table(table, where={"survey": survey, "wave": there})
    except AxstatError as error:
        if error.code not in _CANNOT_BE_READ:
            raise
        return KnownRows({}, problem=f"{error.code}: {error.got}")
    return KnownRows(copied, key_file=warehouse.key_file)
