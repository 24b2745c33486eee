"""The design of a specification: strata and stages, calibrated weights, replicates of a file of their own.

Belongs here: turning those sections and the rows of the data into what `stats` estimates from. Does not belong here:
the estimates (run, engine), which columns are read (run).
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.data import DataFile, number_faults
from pipelines.estimation.spec import CalibrationPlan, Design, Replicates, Specification
from pipelines.estimation.tables import joined_labels
from pipelines.estimation.waves import Waves
from pipelines.stats.arrays import FloatArray, IntArray, codes_in, run_starts
from pipelines.stats.calibration import Calibration, calibrate, post_stratify, rake
from pipelines.stats.design import SurveyDesign
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import terms_matrix, whole_numbers

ROW = "row"


def build_design(
    specification: Specification, frame: pl.DataFrame, notes: list[str]
) -> tuple[SurveyDesign, Waves | None]:
    """The design of the data, and its waves where their shared units count by overlap; notes on calibrated weights."""
    plan = specification.design
    notes += _nesting_notes(plan, frame)
    waves = None
    if plan.wave_covariance == "overlap":
        design, waves = _overlapping_design(plan, frame)
    else:
        design = _survey_design(plan, frame, weight=plan.weight)
    if specification.calibration is None:
        return design, waves
    made = _calibrated(_by_labels(specification.calibration, frame), frame, design.weight)
    notes += _calibration_notes(made)
    if waves is not None:
        waves = replace(waves, calibration=made.residualizer)
    # The design is the same: only the weights and the residuals are new.
    return replace(design, weight=made.weight, calibration=made.residualizer), waves


def _survey_design(plan: Design, frame: pl.DataFrame, *, weight: str | None) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame,
        weight=weight,
        strata=plan.strata,
        stages=plan.stages,
        population=plan.population,
        take_all=plan.take_all,
        nest=plan.nest,
        wave=plan.wave,
        lonely_psu=plan.lonely_psu,
        lonely_psu_in_domain=plan.lonely_psu_in_domain,
    )


def _nesting_notes(plan: Design, frame: pl.DataFrame) -> list[str]:
    """Labels of primary units start anew in each stratum as a rule, or never: a few in two strata may be errors."""
    if not plan.nest or not plan.stages or plan.strata is None:
        return []
    unit, within = plan.stages[0], [] if plan.wave is None else [plan.wave]
    runs = frame.select(*within, plan.strata, unit)
    strata = (
        runs[run_starts(runs.get_columns())]
        .group_by(*within, unit, maintain_order=True)
        .agg(pl.col(plan.strata).unique(maintain_order=True))
    )
    several = strata.filter(pl.col(plan.strata).list.len() > 1)
    if not 0 < several.height < strata.height / 2:
        return []
    label, where = several.row(0, named=True)[unit], several.row(0, named=True)[plan.strata]
    others = f" and {several.height - 1} more" if several.height > 1 else ""
    return [
        f"{unit} {label} stands in {len(where)} strata ({', '.join(map(str, where))}){others}: read as a unit of each; "
        "nest: false refuses it"
    ]


def _overlapping_design(plan: Design, frame: pl.DataFrame) -> tuple[SurveyDesign, Waves]:
    """The design with the waves taken apart, and the waves by themselves."""
    assert plan.wave is not None
    keys = [plan.wave, *([] if plan.strata is None else [plan.strata])]
    # Faults are named by the columns as they stand, before one is made of two of them.
    _survey_design(
        plan.model_copy(update={"population": (), "take_all": None, "lonely_psu": "remove"}), frame, weight=plan.weight
    )
    apart = frame.with_columns(joined_labels(frame, keys).alias("wave and stratum"))
    design = _survey_design(plan.model_copy(update={"strata": "wave and stratum"}), apart, weight=plan.weight)
    parts = [
        _survey_design(plan, frame.filter(pl.col(plan.wave) == wave), weight=plan.weight)
        for wave in frame[plan.wave].unique().sort()
    ]
    return design, Waves.from_frame(frame, wave=plan.wave, strata=plan.strata, unit=plan.stages[0], designs=parts)


def _calibrated(plan: CalibrationPlan, frame: pl.DataFrame, weight: FloatArray) -> Calibration:
    if plan.by_margins:
        margins = plan.margins or {}
        labels = pl.DataFrame([_margin(frame, name) for name in margins])
        if plan.method == "rake":
            return rake(weight, labels, margins)
        name, totals = next(iter(margins.items()))
        return post_stratify(weight, labels[name], totals)
    low, high = plan.bounds or (-np.inf, np.inf)
    return calibrate(
        weight, terms_matrix(frame, plan.terms), plan.totals_by_term, distance=plan.method, bounds=(low, high)
    )


def _margin(frame: pl.DataFrame, name: str) -> pl.Series:
    """The labels of a margin; those of a crossed one, ``sex:region``, are joined likewise."""
    if name in frame.columns:
        column = frame[name]
        return column.cast(pl.String).str.to_lowercase() if column.dtype == pl.Boolean else column
    parts = [whole_numbers(frame[part]).cast(pl.String) for part in name.split(":")]
    return pl.select(pl.concat_str([pl.lit(part) for part in parts], separator=":").alias(name)).to_series()


def _by_labels(plan: CalibrationPlan, frame: pl.DataFrame) -> CalibrationPlan:
    """The calibration with the levels of its margins written as the labels of their columns."""
    margins = {name: _totals_by_label(_margin(frame, name), totals) for name, totals in (plan.margins or {}).items()}
    return plan.model_copy(update={"margins": margins})


def _totals_by_label(column: pl.Series, totals: Mapping[str, float]) -> Mapping[str, float]:
    """In a column of numbers 0.0 is the level 0, as it is in a condition."""
    if not column.dtype.is_numeric():
        return totals
    known = whole_numbers(column).drop_nulls().unique().cast(pl.String).to_list()
    by_number = {float(label): label for label in known}

    def label(key: str) -> str:
        try:
            found = key if key in known else by_number.get(float(key), key)
        except ValueError:
            return key
        return key if found in totals else found

    return {label(key): total for key, total in totals.items()}


def _calibration_notes(made: Calibration) -> list[str]:
    rows = made.negative_rows
    if not rows:
        return []
    shown = ", ".join(str(row) for row in rows[:10]) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
    return [f"calibration made the weight negative in rows {shown}; bounds would prevent it"]


def replicate_columns(specification: Specification, file: DataFile) -> list[str]:
    """The columns that the patterns of the specification name, in the order of the file; not its key and weight."""
    plan = specification.replicates
    assert plan is not None
    return [
        name
        for name in file.columns
        if name not in (plan.key, specification.design.weight)
        and any(fnmatch.fnmatchcase(name, pattern) for pattern in plan.columns)
    ]


def join_replicates(
    frame: pl.DataFrame, specification: Specification, plan: Replicates, file: DataFile, notes: list[str]
) -> tuple[pl.DataFrame, FloatArray]:
    """The replicate weights in the order of the data ``(n, R)``; the weight too, where it stands beside them."""
    names = replicate_columns(specification, file)
    kinds = {name.rstrip("0123456789"): name for name in names}
    if len(kinds) > 1:
        notes.append(
            f"{len(names)} replicates, of columns named in {len(kinds)} ways ({', '.join(kinds.values())}): "
            "say in replicates.columns which are meant, if not all"
        )
    weight = specification.design.weight
    beside = [weight] if weight is not None and weight not in frame.columns else []
    table = file.read([plan.key, *beside, *names], missing=specification.missing)
    faults = [
        fault
        for name in (*beside, *names)
        for fault in number_faults(table[name], place=f"replicates, file {file.name}")
    ]
    key = frame[plan.key] if plan.key in frame.columns else pl.Series(ROW, np.arange(1, frame.height + 1))
    theirs = table[plan.key]
    if faults:
        raise ViolationsError(f"replicates of {file.name}", faults)
    if theirs.dtype != key.dtype:
        key, theirs = (whole_numbers(column).cast(pl.String) for column in (key, theirs))
    faults += _key_faults(key, theirs, file.name)
    if faults:
        raise ViolationsError(f"replicates of {file.name}", faults)
    at = codes_in(key, theirs)
    faults += _missing_weights(table.select(*beside, *names), at, file.name)
    if faults:
        raise ViolationsError(f"replicates of {file.name}", faults)
    sets = table.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()[at]
    return frame.with_columns(table[name].gather(at) for name in beside), sets


def _key_faults(key: pl.Series, theirs: pl.Series, file: str) -> list[Violation]:
    faults = []
    checks = (
        (
            "key_repeated",
            f"file {file}, column {theirs.name!r}",
            theirs.is_duplicated() | theirs.is_null(),
            "one row a key",
        ),
        (
            "key_without_replicates",
            f"data, key {key.name!r}",
            ~key.is_in(theirs.drop_nulls().to_list()).fill_null(value=False),
            f"a row of {file} for each row of the data",
        ),
    )
    for code, where, wrong, expected in checks:
        rows = np.flatnonzero(wrong.to_numpy())
        if len(rows):
            faults.append(
                Violation(
                    code,
                    where=where,
                    expected=expected,
                    got=f"{len(rows)} other row(s)",
                    hint="check the key by which the replicate file is joined",
                    rows=tuple((rows + 1).tolist()),
                )
            )
    return faults


def _missing_weights(table: pl.DataFrame, at: IntArray, file: str) -> list[Violation]:
    """Missing weights in the rows of the file that the data use ``(n,)``; its other rows may be without."""
    lacking = [column for column in table if column.null_count()]
    missing = {column.name: np.unique(at[column.is_null().to_numpy()[at]]) for column in lacking}
    missing = {name: rows for name, rows in missing.items() if len(rows)}
    if not missing:
        return []
    names = list(missing)
    shown = ", ".join(repr(name) for name in names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return [
        Violation(
            "replicates_missing",
            where=f"replicates, file {file}, column{'s' if len(names) > 1 else ''} {shown}",
            expected="a number in every row whose key the data have",
            got=f"{sum(len(rows) for rows in missing.values())} missing",
            hint="mend the replicate file",
            rows=tuple((np.unique(np.concatenate(list(missing.values()))) + 1).tolist()),
        )
    ]


def replicate_weights(
    specification: Specification, frame: pl.DataFrame, sets: FloatArray, plan: Replicates, notes: list[str]
) -> ReplicateWeights:
    """The replicates of the specification from their sets of weights ``(n, R)``; notes on the calibration."""
    design = specification.design
    # Variances come from the replicates: of the design only its weights are used.
    weight = _survey_design(
        design.model_copy(update={"lonely_psu": "remove"}) if design.weight is None else Design(weight=design.weight),
        frame,
        weight=design.weight,
    ).weight
    if not plan.combined:
        sets = sets * weight[:, None]
    if isinstance(plan.rscales, tuple) and len(plan.rscales) not in (1, sets.shape[1]):
        raise AxstatError(
            "rscales_do_not_fit",
            where="replicates.rscales",
            expected=f"one number, or one for each of the {sets.shape[1]} replicates",
            got=f"{len(plan.rscales)}",
            hint="check columns and rscales",
        )
    if specification.calibration is not None:
        calibration = _by_labels(specification.calibration, frame)
        made = _calibrated(calibration, frame, weight)
        notes += _calibration_notes(made)
        weight = made.weight
        calibrated = []
        for number, each in enumerate(sets.T, start=1):
            try:
                calibrated.append(_calibrated(calibration, frame, each).weight)
            except ViolationsError as error:
                place = f"replicate {number} of {sets.shape[1]}, whose weights are calibrated as the full sample's were"
                raise ViolationsError(f"{place}: {error.where}", error.violations) from None
        sets = np.column_stack(calibrated)
    rscales = np.asarray(plan.rscales, dtype=np.float64)
    return ReplicateWeights.from_columns(
        weight,
        sets,
        scale=plan.scale,
        rscales=float(rscales) if rscales.ndim == 0 else rscales,
        mse=plan.mse,
        degf=plan.degf,
    )


def weights_only(frame: pl.DataFrame, weight: FloatArray) -> SurveyDesign:
    """A design that knows nothing but the weights: models and tests on replicates take their rows from it."""
    return SurveyDesign.from_frame(
        frame.select(pl.Series("weight", weight)), weight="weight", lonely_psu="remove", allow_negative_weights=True
    )
