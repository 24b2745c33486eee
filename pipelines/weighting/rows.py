"""The sample as rows with a status and a base weight, and the totals that are counted on the frame.

Belongs here: the columns of both files, what is wrong in their rows, labels of margins. Does not belong here: what
becomes of the weights (run).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.estimation.data import open_data
from pipelines.estimation.domains import rows_where
from pipelines.estimation.tables import read_table
from pipelines.stats.arrays import BoolArray, FloatArray, as_floats
from pipelines.stats.model_matrix import columns_of
from pipelines.stats.nonresponse import PARTIAL
from pipelines.stats.terms import row_numbers, terms_matrix, unit_shares, unknown_name
from pipelines.weighting.spec import PROPENSITY_CLASS, UNIT_SHARE, Dispositions, WeightingSpecification, parts_of

WEIGHT_COLUMNS = (
    "status",
    "base_weight",
    "eligibility_factor",
    "nonresponse_factor",
    "calibration_factor",
    "trimming_factor",
    "weight",
    "nonresponse_class",
    "post_stratum",
)
# Names that the steps give to columns of their own
_TAKEN = {
    *WEIGHT_COLUMNS,
    *("unit_id", "disposition", "selection_stratum", "take_all", "inverse_propensity", PROPENSITY_CLASS, "block"),
    *("inverse", "parts_label", "cell", "merged_cell", "respondents", "responding", "raised", "eligible", "before"),
    *("out_of_scope", "unknown", "census_units", "population"),
}


Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Sample:
    """``table``: the columns of the file that are used, n rows.

    ``units``: unit_id, status, disposition, base_weight, selection_stratum, take_all, and the columns of the weighting
    classes and of the model of response, in the same order.
    """

    table: pl.DataFrame
    units: pl.DataFrame


@dataclass(frozen=True)
class Targets:
    """What the weights are to add up to: by margin and level, by term."""

    margins: Mapping[str, Mapping[str, float]]
    totals: Mapping[str, float]


def read_sample(specification: WeightingSpecification) -> Sample:
    """Read the sample.

    Raises:
        AxstatError: the file cannot be read.
        ViolationsError: columns that are not there or have names that are taken; rows without a value, with an unknown
            code or a base weight that is none; units that stand twice.
    """
    named = {"labels": [*specification.labels()], "figures": [*specification.figures()]}
    _refuse_double_use(f"sample {specification.sample}", named["labels"], named["figures"])
    status, response, model = specification.status, specification.response, specification.model
    classes = [] if response is None else [name for name in response.classes if name != PROPENSITY_CLASS]
    explained = list(dict.fromkeys([*classes, *(columns_of(model.terms) if model else [])]))
    base = specification.base.probability or specification.base.weight
    assert base is not None
    kept = ("keep", [specification.unit, *specification.keep], set(WEIGHT_COLUMNS))
    crossed: list[str] = []
    if specification.cell_order and specification.calibration is not None:
        crossed = [part for name in specification.calibration.margins for part in parts_of(name)]
    faults = [
        Violation("name_taken", f"{place} {name}", "a name that the steps do not use", name, "rename the column")
        for place, names, taken in (kept, ("response", explained, _TAKEN), ("calibration.margins", crossed, _TAKEN))
        for name in names
        if name in taken
    ]
    if faults:
        raise ViolationsError(f"sample {specification.sample}", faults)
    stratum = response.stratum if response is not None else None
    needed = [
        specification.unit,
        base,
        *([status.column] if status else []),
        *explained,
        *([stratum] if stratum else []),
    ]
    table = read_table(
        specification.path.parent,
        specification.sample,
        [*named["labels"], *named["figures"], *specification.others()],
        missing=specification.missing,
        text=[name for _, name in named["labels"]],
        numeric=[name for _, name in named["figures"]],
        needed=needed,
    )
    where = f"sample {specification.sample}"
    unit = table[specification.unit]
    faults = _repeated(unit, where)
    weight, found = _base_weight(
        as_floats(table[base]), base, where, probability=specification.base.probability is not None
    )
    faults += found
    if status is not None:
        faults += _unknown_codes(table[status.column], status, where)
    if faults:
        raise ViolationsError(where, faults)
    take_all = np.zeros(table.height, dtype=np.bool_)
    if response is not None and response.take_all:
        take_all = rows_where(table, response.take_all)
    units = pl.DataFrame(
        {
            "unit_id": unit,
            "status": _statuses(table, status),
            "disposition": _dispositions(table, status),
            "base_weight": weight,
            "selection_stratum": ["all"] * table.height if stratum is None else table[stratum],
            "take_all": take_all,
        }
    ).with_columns(table[name] for name in explained)
    return Sample(table=table, units=units)


def _refuse_double_use(where: str, labels: Sequence[tuple[str, str]], figures: Sequence[tuple[str, str]]) -> None:
    places = {name: place for place, name in labels}
    faults = [
        Violation(
            "two_kinds",
            where=f"{place}, column {name!r}",
            expected=f"a column of numbers; {places[name]} takes its labels",
            got="both",
            hint="copy the column under another name",
        )
        for place, name in figures
        if name in places
    ]
    if faults:
        raise ViolationsError(where, faults)


def _repeated(unit: pl.Series, where: str) -> list[Violation]:
    rows = unit.is_duplicated().to_numpy()
    if not rows.any():
        return []
    got = f"{unit.filter(pl.Series(rows)).n_unique()} that stand in several rows"
    hint = "take out the second rows, or name another column in unit"
    return [
        Violation("unit_repeated", f"{where}, column {unit.name!r}", "each unit once", got, hint, row_numbers(rows))
    ]


def _base_weight(values: FloatArray, name: str, where: str, *, probability: bool) -> tuple[FloatArray, list[Violation]]:
    wrong = ~(values > 0) | ((values > 1 + 1e-9) if probability else ~np.isfinite(values))
    expected = "an inclusion probability above 0, at most 1" if probability else "a weight above 0"
    faults = []
    if wrong.any():
        shown = ", ".join(f"{value:g}" for value in values[wrong][:3])
        hint = "mend the column; units that could not be drawn do not belong in the sample"
        faults = [
            Violation(
                "base_weight_not_valid", f"{where}, column {name!r}", expected, shown, hint, rows=row_numbers(wrong)
            )
        ]
    with np.errstate(divide="ignore"):
        return (1.0 / values if probability else values), faults


def _unknown_codes(column: pl.Series, status: Dispositions, where: str) -> list[Violation]:
    known = list(status.status_of())
    unknown = ~column.is_in(known)
    if not unknown.any():
        return []
    codes = column.filter(unknown).unique(maintain_order=True).to_list()
    fault = unknown_name("unknown_code", f"{where}, column {column.name!r}", "a code of status", codes[0], known)
    shown = ", ".join(codes[:10]) + (f" and {len(codes) - 10} more" if len(codes) > 10 else "")
    hint = "name every code under what it says of a unit, in quotes; what stands for none goes to missing"
    return [replace(fault, got=shown, hint=hint, rows=row_numbers(unknown.to_numpy()))]


def _statuses(table: pl.DataFrame, status: Dispositions | None) -> pl.Series:
    if status is None:
        return pl.Series(["respondent"] * table.height, dtype=pl.String)
    return table[status.column].replace_strict(status.status_of(), return_dtype=pl.String)


def _dispositions(table: pl.DataFrame, status: Dispositions | None) -> pl.Series:
    """AAPOR's 1.1 and 1.2, by which response rates tell complete from partial interviews."""
    if status is None:
        return pl.Series(["1.1"] * table.height, dtype=pl.String)
    partial = table[status.column].is_in(list(status.partial))
    return table.select(pl.when(partial).then(pl.lit(PARTIAL)).otherwise(pl.lit("1.1"))).to_series()


def read_targets(specification: WeightingSpecification) -> Targets:
    """The totals: as given, and counted on the frame.

    Raises:
        AxstatError, ViolationsError: of the frame's file, columns, rows and terms.
    """
    plan = specification.calibration
    assert plan is not None
    given = Targets(
        plan.margins if isinstance(plan.margins, dict) else {}, plan.totals if isinstance(plan.totals, dict) else {}
    )
    if specification.frame is None:
        return given
    name = specification.frame.file
    labels = [*specification.calibrated(labels=True, counted=True)]
    figures = [*specification.calibrated(labels=False, counted=True)]
    _refuse_double_use(f"frame {name}", labels, figures)
    if plan.cluster is not None and any(UNIT_SHARE in term for term in plan.totals):
        labels.append(("calibration.cluster", plan.cluster))
    # Totals such as 1 name no column, but their rows are counted.
    others = [] if labels or figures else [("frame", open_data(specification.path.parent / name, name=name).columns[0])]
    used = [column for _, column in (*labels, *figures)]
    table = read_table(
        specification.path.parent,
        name,
        [*labels, *figures, *others],
        missing=specification.missing,
        text=[column for _, column in labels],
        numeric=[column for _, column in figures],
        needed=used,
    )
    counted = [margin for margin in plan.margins if isinstance(plan.margins, tuple)]
    terms = [term for term in plan.totals if isinstance(plan.totals, tuple)]
    prepared = calibration_table(table, counted, cluster=plan.cluster if UNIT_SHARE in " ".join(terms) else None)
    margins = {
        margin: {str(level): float(count) for level, count in prepared[margin].value_counts(sort=True).iter_rows()}
        for margin in counted
    }
    totals: dict[str, float] = {}
    if terms:
        matrix = terms_matrix(prepared, terms)
        sums = matrix.patterns.T @ matrix.row_counts()
        totals = dict(zip(terms, sums.tolist(), strict=True))
    return Targets(margins or given.margins, totals or given.totals)


def calibration_table(table: pl.DataFrame, margins: Sequence[str], *, cluster: str | None) -> pl.DataFrame:
    """The table with crossed margins as columns, their labels joined by a colon, and the share of a row in its unit."""
    made = [
        pl.concat_str([pl.col(part) for part in parts_of(margin)], separator=":").alias(margin)
        for margin in margins
        if len(parts_of(margin)) > 1
    ]
    whole = table.with_columns(made)
    if cluster is None or whole[cluster].null_count():
        return whole
    return whole.with_columns(unit_shares(whole[cluster]).alias(UNIT_SHARE))


def in_file(rows: BoolArray, work: Callable[[], Result]) -> Result:
    """Do work on some rows ``(n,)`` of the file; faults then name rows of the file.

    Raises:
        ViolationsError: that of the work.
    """
    try:
        return work()
    except ViolationsError as error:
        place = np.flatnonzero(rows) + 1
        faults = [
            replace(fault, rows=tuple(place[np.array(fault.rows, int) - 1].tolist())) for fault in error.violations
        ]
        raise ViolationsError(error.where, faults) from None
