"""What the data home knows already: the frame, the sample and the last wave that a file is held against.

Belongs here: copying from the data home's warehouse what the rules of one contract read, and the last codebook.
Does not belong here: the rules (contracts), running them (warehouse), comparing (codebook).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.intake.codebook.made import codebook_of_rows
from pipelines.intake.codebook.model import Codebook
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.rules import input_wave, rule_tables
from pipelines.warehouse.session import Session

# A run has the file, or another version of axstat made it: the check goes on without what is in it, and says so.
_CANNOT_BE_READ = ("warehouse_locked", "warehouse_version", "unit_key_missing", "unit_key_differs")
_SECONDS_TO_WAIT = 2.0


@dataclass(frozen=True)
class Known:
    """What the data home knows of one survey and contract before a wave.

    Attributes:
        tables: rows of staging tables, one frame a table.
        codebook: what the last wave was delivered with, None where there was none.
        problem: why the warehouse could not be read; None where it could, or there is none.
        key_file: the secret by which units are named in the tables; None where there are none.
    """

    tables: Mapping[str, pl.DataFrame]
    codebook: Codebook | None = None
    problem: str | None = None
    key_file: Path | None = None


def known_rows(
    settings: Settings, catalogue: SqlCatalogue, library: ContractLibrary, contract: str, *, survey: str, wave: int
) -> Known:
    """Copy what the SQL rules of `contract` read beside the file, and the last wave's codebook.

    Nothing is written, no warehouse is made.

    Raises:
        AxstatError: the data home's warehouse is damaged.
    """
    wanted = {name for rule in library.deliveries[contract].sql_rules for name in rule.reads}

    def look(session: Session) -> Known:
        copied = {}
        for name, table in rule_tables(library.surveys[survey], contract).items():
            there = input_wave(session, library, name, table, survey, wave) if name in wanted else None
            if there is not None:
                copied[table] = session.table(table, where={"survey": survey, "wave": there})
        return Known(copied, last_codebook(session, contract, survey=survey, wave=wave))

    return _seen(settings, catalogue, library, look)


def known_codebook(
    settings: Settings, catalogue: SqlCatalogue, library: ContractLibrary, contract: str, *, survey: str, wave: int
) -> Known:
    """The last wave's codebook alone.

    Raises:
        AxstatError: the data home's warehouse is damaged.
    """

    def look(session: Session) -> Known:
        return Known({}, last_codebook(session, contract, survey=survey, wave=wave))

    return _seen(settings, catalogue, library, look)


def last_codebook(session: Session, contract: str, *, survey: str, wave: int) -> Codebook | None:
    """What the files of `contract` meant in the last wave before; None where there was none."""
    rows = session.table("raw.codebook", where={"survey": survey, "contract": contract})
    return codebook_of_rows(rows, before=wave)


def _seen(
    settings: Settings, catalogue: SqlCatalogue, library: ContractLibrary, look: Callable[[Session], Known]
) -> Known:
    """What `look` finds in the data home's warehouse; nothing where there is none, or it cannot be read now."""
    if not settings.warehouse_file.is_file():
        return Known({})
    warehouse = Warehouse(settings.warehouse_file, catalogue, library, lock_timeout=_SECONDS_TO_WAIT)
    try:
        with warehouse.session() as session:
            return replace(look(session), key_file=warehouse.key_file)
    except AxstatError as error:
        if error.code not in _CANNOT_BE_READ:
            raise
        return Known({}, problem=f"{error.code}: {error.got}")
