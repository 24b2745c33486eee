"""Holds `outputs.yaml` against the marts: every table, column, code and unit it names must be there.

Belongs here: what the forms name. Does not belong here: checks of other files (consistency), whether a query runs (the
published file is asked in a test).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.contracts.findings import Findings
from pipelines.contracts.models import TableContract
from pipelines.contracts.outputs import KosisTable

if TYPE_CHECKING:
    from pipelines.contracts.library import ContractLibrary

_FILE = "outputs.yaml"


def check_outputs(library: "ContractLibrary", findings: Findings) -> None:
    """Add to `findings` what the forms name and no contract has."""
    forms = library.outputs
    for what, ids in (
        ("SDMX id", [entry.id for entry in forms.sdmx.tables]),
        ("KOSIS table", [entry.id for entry in forms.kosis.tables]),
        ("example", [entry.id for entry in forms.examples]),
    ):
        findings.add_duplicates(ids, what, _FILE)
    for entry in forms.sdmx.tables:
        where = f"{_FILE}: sdmx.{entry.id}"
        if (mart := _mart(entry.table, where, library, findings)) is not None:
            _columns([entry.value], mart, where, findings)
            if "wave" not in mart.key:
                findings.add("no_time", where, "a table with wave in its key", mart.name, "choose another table")
    cubes = forms.json_stat
    if (mart := _mart(cubes.table, f"{_FILE}: json_stat", library, findings)) is not None:
        _columns([*cubes.figures, *cubes.status], mart, f"{_FILE}: json_stat", findings)
        _columns(cubes.cubes, mart, f"{_FILE}: json_stat.cubes", findings, key=True)
    for table in forms.kosis.tables:
        where = f"{_FILE}: kosis.{table.id}"
        if (mart := _mart(table.table, where, library, findings)) is not None:
            _kosis(table, mart, where, library, findings)


def _mart(name: str, where: str, library: "ContractLibrary", findings: Findings) -> TableContract | None:
    found = library.marts.get(name)
    if found is None:
        findings.add("unknown_table", where, f"one of {', '.join(library.marts)}", name, "correct the name")
    return found


def _columns(
    names: Iterable[str], mart: TableContract, where: str, findings: Findings, *, key: bool = False
) -> list[str]:
    known = mart.key if key else mart.column_names
    there = []
    for name in names:
        if name in known:
            there.append(name)
        else:
            what = "a key column" if key else "a column"
            findings.add("unknown_column", where, f"{what} of {mart.name}: {', '.join(known)}", name, "correct it")
    return there


def _kosis(table: KosisTable, mart: TableContract, where: str, library: "ContractLibrary", findings: Findings) -> None:
    _columns(table.where, mart, where, findings, key=True)
    _columns(table.classifications, mart, where, findings, key=True)
    for item in table.items:
        for name in _columns([item.column], mart, where, findings):
            unit = item.unit or mart.column(name).unit
            if unit not in library.outputs.kosis.units:
                findings.add(
                    "unknown_unit", f"{where}.{name}", "a unit of kosis.units", str(unit), "add it, or name another"
                )
    told = {*table.classifications, "wave", *(name for name, codes in table.where.items() if len(codes) == 1)}
    if left := [name for name in mart.key if name not in told]:
        findings.add(
            "ambiguous_rows",
            where,
            f"every key column of {mart.name} among classifications, or with one code in `where`",
            ", ".join(left),
            "add it to classifications",
        )
