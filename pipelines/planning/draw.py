"""From the specification of a draw to the sample file and the table of its strata.

Belongs here: the files of a draw held against each other, starts from wave to wave, the columns of the sample file.
Does not belong here: the selection itself (stats.selection), how many are drawn (run).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.contracts.models import TableContract
from pipelines.errors import Violation, ViolationsError
from pipelines.estimation.tables import joined_labels, read_table
from pipelines.planning.spec import DrawSpecification, LastSample
from pipelines.stats.arrays import FloatArray, IntArray, as_floats, code_labels, codes_in
from pipelines.stats.selection import found_start, moved_start, permanent_random_numbers, select
from pipelines.stats.terms import code_sums, unknown_name

PROBABILITY, SINCE, NUMBER = "inclusion_probability", "panel_since", "permanent_random_number"
STRATA_COLUMNS = ("population", "drawn", "inclusion_probability", "start", "last", "kept")
# What field work finds out; the columns of a contract that are coded by this list are left empty.
_FIELDWORK = "dispositions"


@dataclass(frozen=True, eq=False)
class DrawnSample:
    """``sample``: a row a unit; ``strata``: a row a stratum with STRATA_COLUMNS; ``notes``: size and overlap."""

    sample: pl.DataFrame
    strata: pl.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Frame:
    """N units in H strata: the file's columns, codes, numbers, and the labels of the strata."""

    table: pl.DataFrame
    stratum: IntArray
    number: FloatArray
    known: pl.Series
    labels: pl.DataFrame
    size: IntArray


@dataclass(frozen=True, eq=False)
class _Last:
    """Last wave's sample: names, first waves; where its strata's samples started and how large a part they were."""

    units: pl.Series
    since: pl.Series
    start: FloatArray  # (H,)
    fraction: FloatArray  # (H,), NaN in strata without a sample then


def run_draw(specification: DrawSpecification, contract: TableContract | None = None) -> DrawnSample:
    """Read frame, allocation and last sample; select; make the sample file.

    Args:
        contract: of the delivery whose columns the file gets; None: unit, strata, probability, first wave, number and
            the columns to keep.

    Raises:
        AxstatError: a file cannot be read.
        ViolationsError: columns that are not there; units twice or without a name; numbers outside [0, 1); strata of
            frame and allocation that differ; more to draw than there is.
    """
    frame = _read_frame(specification, _frame_columns(specification, contract))
    drawn = _read_allocation(specification, frame)
    last = None if specification.last is None else _read_last(specification, specification.last, frame)
    start = np.full(len(frame.size), specification.start)
    if last is not None:
        there = np.isfinite(last.fraction)
        start[there] = moved_start(last.start[there], last.fraction[there], overlap=specification.overlap)
    units = frame.table[specification.frame.unit]
    selected = select(frame.stratum, frame.number, units, drawn=drawn, start=start)
    probability = drawn / frame.size
    before = np.full(len(units), -1) if last is None else codes_in(units, last.units)
    since = np.full(len(units), specification.wave)
    if last is not None and len(last.units):
        since = np.where(before >= 0, last.since.to_numpy()[before], since)
    made = frame.table.with_columns(
        pl.Series(PROBABILITY, probability[frame.stratum]),
        pl.Series(SINCE, since.astype(np.int64)),
        pl.Series(NUMBER, frame.number),
    ).filter(pl.Series(selected))
    sample = _sample_file(specification, contract, made.sort(*specification.frame.strata, specification.frame.unit))
    count = len(frame.size)
    strata = frame.labels.with_columns(
        pl.Series("population", frame.size),
        pl.Series("drawn", drawn),
        pl.Series("inclusion_probability", probability),
        pl.Series("start", start),
        pl.Series("last", np.bincount(frame.stratum[before >= 0], minlength=count)),
        pl.Series("kept", np.bincount(frame.stratum[(before >= 0) & selected], minlength=count)),
    )
    return DrawnSample(sample=sample, strata=strata, notes=tuple(_notes(specification, strata, last)))


def _frame_columns(specification: DrawSpecification, contract: TableContract | None) -> list[tuple[str, str]]:
    frame = specification.frame
    columns = [("frame.unit", frame.unit), *(("frame.strata", name) for name in frame.strata)]
    if frame.random_number is not None:
        columns.append(("frame.random_number", frame.random_number))
    columns += [("frame.keep", name) for name in frame.keep]
    if contract is not None:
        columns += [(f"contract {contract.name}", name) for name in _copied(contract)]
    return columns


def _copied(contract: TableContract) -> list[str]:
    """Columns of the contract that come from the frame under the same name."""
    made = {*contract.key, PROBABILITY, SINCE, NUMBER}
    return [
        column.name for column in contract.columns if column.name not in made and column.classification != _FIELDWORK
    ]


def _read_frame(specification: DrawSpecification, columns: Sequence[tuple[str, str]]) -> _Frame:
    plan = specification.frame
    number = plan.random_number
    table = read_table(
        specification.path.parent,
        plan.file,
        columns,
        missing=specification.missing,
        text=[name for _, name in columns if name != number],
        numeric=[] if number is None else [number],
        needed=[plan.unit, *plan.strata],
    )
    faults = _repeated(table[plan.unit], f"file {plan.file}, column {plan.unit!r}")
    values = np.full(table.height, np.nan) if number is None else as_floats(table[number]).copy()
    wrong = np.flatnonzero((values < 0) | (values >= 1))
    if len(wrong):
        faults.append(
            Violation(
                "number_not_valid",
                where=f"file {plan.file}, column {number!r}",
                expected="permanent random numbers of 0 to below 1",
                got=f"{values[wrong[0]]:g}",
                hint="give the number the unit has had from its first wave on; an empty one is made",
                rows=tuple((wrong + 1).tolist()),
            )
        )
    if faults:
        raise ViolationsError(f"file {plan.file}", faults)
    new = np.flatnonzero(np.isnan(values))
    values[new] = permanent_random_numbers(specification.survey, table[plan.unit].gather(new).to_list())
    labels = joined_labels(table, plan.strata)
    stratum, known = code_labels(labels)
    first = np.unique(stratum, return_index=True)[1]
    return _Frame(
        table=table,
        stratum=stratum,
        number=values,
        known=known,
        labels=table[first.tolist()].select(plan.strata),
        size=np.bincount(stratum, minlength=len(known)).astype(np.int64),
    )


def _read_allocation(specification: DrawSpecification, frame: _Frame) -> IntArray:
    plan = specification.allocation
    table = read_table(
        specification.path.parent,
        plan.file,
        [*(("allocation.strata", name) for name in plan.strata), ("allocation.drawn", plan.drawn)],
        missing=specification.missing,
        text=plan.strata,
        numeric=[plan.drawn],
        needed=[*plan.strata, plan.drawn],
    )
    labels = joined_labels(table, plan.strata)
    wanted = as_floats(table[plan.drawn])
    faults = _repeated(labels, f"file {plan.file}, strata")
    at = codes_in(frame.known, labels)
    found = codes_in(labels, frame.known)
    size = np.where(found >= 0, frame.size[found], 0)
    checks = (
        ("stratum_without_allocation", frame.known.filter(pl.Series(at < 0)), "a row of the allocation", "none"),
        (
            "stratum_not_on_frame",
            labels.filter(pl.Series((found < 0) & (wanted > 0))),
            "units on the frame",
            "none",
        ),
        (
            "more_than_there_are",
            labels.filter(pl.Series((found >= 0) & (wanted > size))),
            "at most the units of the frame",
            "more to draw",
        ),
        (
            "drawn_not_valid",
            labels.filter(pl.Series((wanted < 0) | (wanted % 1 != 0))),
            "a whole number of units to draw",
            "another",
        ),
    )
    for code, names, expected, got in checks:
        if len(names):
            shown = ", ".join(names.head(10).to_list()) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            hint = "plan again with the frame that is drawn from"
            faults.append(Violation(code, f"file {plan.file}, strata {shown}", expected, got, hint))
    if faults:
        raise ViolationsError(f"file {plan.file}", faults)
    return wanted[at].astype(np.int64)


def _read_last(specification: DrawSpecification, plan: LastSample, frame: _Frame) -> _Last:
    assert plan.unit is not None
    numeric = [plan.inclusion_probability, plan.panel_since, plan.random_number]
    table = read_table(
        specification.path.parent,
        plan.file,
        [
            ("last.unit", plan.unit),
            *(("last.strata", name) for name in plan.strata),
            ("last.inclusion_probability", plan.inclusion_probability),
            ("last.panel_since", plan.panel_since),
            ("last.random_number", plan.random_number),
        ],
        missing=specification.missing,
        text=[plan.unit, *plan.strata],
        numeric=numeric,
        needed=[plan.unit, *plan.strata, *numeric],
    )
    faults = _repeated(table[plan.unit], f"file {plan.file}, column {plan.unit!r}")
    probability = as_floats(table[plan.inclusion_probability])
    number = as_floats(table[plan.random_number])
    row = codes_in(table[plan.unit], frame.table[specification.frame.unit])
    checks = (
        ("probability_not_valid", ~((probability > 0) & (probability <= 1)), "probabilities above 0, at most 1"),
        ("number_not_valid", ~((number >= 0) & (number < 1)), "permanent random numbers of 0 to below 1"),
        (
            "number_changed",
            (row >= 0) & ~(np.abs(number - frame.number[row]) <= 1e-9),
            "the number that the unit has on the frame: keep frame.random_number from wave to wave",
        ),
    )
    for code, wrong, expected in checks:
        rows = np.flatnonzero(wrong)
        if len(rows):
            faults.append(
                Violation(
                    code,
                    where=f"file {plan.file}",
                    expected=expected,
                    got=f"{len(rows)} other row(s)",
                    hint="send last wave's sample as it was drawn",
                    rows=tuple((rows + 1).tolist()),
                )
            )
    if faults:
        raise ViolationsError(f"file {plan.file}", faults)
    count = len(frame.size)
    stratum = codes_in(joined_labels(table, plan.strata), frame.known)
    inside = stratum >= 0
    drawn = np.bincount(stratum[inside], minlength=count)
    with np.errstate(invalid="ignore"):
        fraction = np.where(drawn > 0, code_sums(stratum[inside], probability[inside], count) / drawn, np.nan)
    if plan.starts is None:
        start = found_start(stratum[inside], number[inside], fraction, n_strata=count)
    else:
        start = _read_starts(specification, plan.starts, frame)
        fraction = np.where(np.isnan(start), np.nan, fraction)
    return _Last(units=table[plan.unit], since=table[plan.panel_since], start=start, fraction=fraction)


def _read_starts(specification: DrawSpecification, name: str, frame: _Frame) -> FloatArray:
    """The start of each stratum ``(H,)`` from the table of strata that the last draw wrote; NaN where it has none."""
    strata = specification.frame.strata
    table = read_table(
        specification.path.parent,
        name,
        [*(("last.starts", column) for column in strata), ("last.starts", "start")],
        missing=specification.missing,
        text=strata,
        numeric=["start"],
        needed=[*strata, "start"],
    )
    labels = joined_labels(table, strata)
    faults = _repeated(labels, f"file {name}, strata")
    if faults:
        raise ViolationsError(f"file {name}", faults)
    at = codes_in(frame.known, labels)
    return np.where(at >= 0, as_floats(table["start"])[at], np.nan)


def _repeated(labels: pl.Series, where: str) -> list[Violation]:
    rows = np.flatnonzero(labels.is_duplicated().to_numpy())
    if not len(rows):
        return []
    shown = ", ".join(str(label) for label in labels.gather(rows).unique().sort().head(3))
    hint = "take the further rows out, or name the column that tells them apart"
    return [Violation("repeated", where, "each once", f"{shown} …", hint, rows=tuple((rows + 1).tolist()))]


def _sample_file(specification: DrawSpecification, contract: TableContract | None, made: pl.DataFrame) -> pl.DataFrame:
    frame = specification.frame
    if contract is None:
        return made.select(frame.unit, *frame.strata, PROBABILITY, SINCE, NUMBER, *frame.keep)
    columns = []
    for column in contract.columns:
        if column.name in contract.key:
            columns.append(made[frame.unit].alias(column.name))
        elif column.classification == _FIELDWORK:
            columns.append(pl.Series(column.name, [None] * made.height, dtype=pl.String))
        else:
            columns.append(made[column.name])
    return pl.DataFrame([*columns, *(made[name] for name in frame.keep if name not in contract.column_names)])


def contract_named(name: str, deliveries: Mapping[str, TableContract]) -> TableContract:
    """The contract of a sample file.

    Raises:
        ViolationsError: there is none of that name, or it is not one of a sample.
    """
    able = {
        key: contract
        for key, contract in deliveries.items()
        if {PROBABILITY, SINCE, NUMBER} <= set(contract.column_names) and len(contract.key) == 1
    }
    if name not in able:
        fault = unknown_name("unknown_contract", "contract", "the contract of a sample file", name, list(able))
        raise ViolationsError("specification", [fault])
    return able[name]


def _notes(specification: DrawSpecification, strata: pl.DataFrame, last: _Last | None) -> list[str]:
    notes = [f"{strata['drawn'].sum()} of {strata['population'].sum()} units drawn in {strata.height} strata"]
    if last is None:
        return notes
    there, kept = int(strata["last"].sum()), int(strata["kept"].sum())
    share = f" ({kept / there:.1%})" if there else ""
    notes.append(f"{kept}{share} of the {there} units of the last sample that are still on the frame are kept")
    if len(last.units) > there:
        notes.append(f"{len(last.units) - there} units of the last sample are no longer on the frame")
    if specification.last is not None and specification.last.starts is None:
        notes.append("starts were found from the last sample's numbers; keep the table of strata to know them")
    return notes
