"""From a specification to a table of estimates.

Belongs here: which columns are read, the order of the work. Does not belong here: formulas (stats), what a
specification may say (spec), its design and replicates (designs), the columns of the table (rows), writing it (output),
data that are added up before they are read (cells).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.data import DataFile, number_faults, open_data
from pipelines.estimation.designs import (
    ROW,
    build_design,
    join_replicates,
    replicate_columns,
    replicate_weights,
    weights_only,
)
from pipelines.estimation.domains import (
    Partition,
    at_level,
    conditions_name,
    label_text,
    partition,
    rows_where,
)
from pipelines.estimation.engine import Engine, Kind, Replicated, Taylor, Variable
from pipelines.estimation.rows import (
    Row,
    estimate_rows,
    estimate_table,
    level_faults,
    named_row,
    proportion_levels,
)
from pipelines.estimation.sections import Label
from pipelines.estimation.spec import Estimate, Specification
from pipelines.estimation.waves import Waves
from pipelines.settings import Settings, load_settings
from pipelines.stats.arrays import BoolArray, FloatArray, as_floats
from pipelines.stats.design import SurveyDesign
from pipelines.stats.replication import ReplicateWeights
from pipelines.stats.terms import unknown_name


@dataclass(frozen=True, eq=False)
class EstimateTable:
    """The estimates, one row each, and what a reader of them must know."""

    table: pl.DataFrame
    notes: tuple[str, ...]


def run_specification(specification: Specification, settings: Settings | None = None) -> EstimateTable:
    """Read the data of a specification and make its estimates.

    Columns of the table: see rows.estimate_table. Null where there is no value. ``status``: see
    reports/methodology/estimate.md.

    Args:
        settings: of the installation; None: those of the environment where they are needed. Where they name an engine,
            or the data are a folder of Parquet files, cells are made by that engine and the rows are never read here.

    Raises:
        AxstatError: the data cannot be read, a column is not there or not what it is used for, the design is not
            valid, the calibration does not converge.
    """
    if (specification.path.parent / specification.data).is_dir() or (settings is not None and settings.engine):
        # sqlglot and the database are loaded only where they are asked for
        from pipelines.estimation.cells import rows_from_cells

        rows, notes = rows_from_cells(specification, settings or load_settings())
    else:
        work = _Work.prepare(specification)
        rows, notes = work.rows(), work.notes
    return EstimateTable(
        table=estimate_table(
            rows,
            methods=specification.confidence.methods,
            with_tests=bool(specification.tests or specification.models),
        ),
        notes=tuple(notes),
    )


@dataclass(eq=False)
class _Work:
    """The data of a specification, ready to be estimated from."""

    specification: Specification
    frame: pl.DataFrame
    engine: Engine
    design: SurveyDesign | None
    weights: ReplicateWeights | None
    notes: list[str]
    columns: dict[tuple[str, Label | None], FloatArray] = field(default_factory=dict)

    @classmethod
    def prepare(cls, specification: Specification) -> "_Work":
        file = open_data(specification.path.parent / specification.data, name=specification.data)
        replicates = specification.replicates
        replicate_file = None
        if replicates is not None:
            replicate_file = open_data(specification.path.parent / replicates.file, name=replicates.file)
        needed = _needed_columns(specification, file, replicate_file)
        frame = file.read(needed, missing=specification.missing)
        if frame.height == 0:
            raise AxstatError(
                "no_rows", where=f"file {file.name}", expected="at least one row", got="none", hint="check the file"
            )
        notes: list[str] = []
        sets = None
        if replicates is not None and replicate_file is not None:
            frame, sets = join_replicates(frame, specification, replicates, replicate_file, notes)
        faults = _number_faults(specification, frame)
        if faults:
            raise ViolationsError(f"specification {specification.path.name}", faults)
        design: SurveyDesign | None = None
        weights: ReplicateWeights | None = None
        engine: Engine
        if sets is not None and replicates is not None:
            weights = replicate_weights(specification, frame, sets, replicates, notes)
            engine = Replicated(weights)
            if specification.tests or specification.models:
                design = weights_only(frame, weights.weight)
        else:
            design, waves = build_design(specification, frame, notes)
            if waves is not None and (faults := _overlap_faults(specification, frame, waves)):
                raise ViolationsError(f"specification {specification.path.name}", faults)
            engine = Taylor(design, waves)
        return cls(specification=specification, frame=frame, engine=engine, design=design, weights=weights, notes=notes)

    def rows(self) -> list[Row]:
        """The rows of the table, in the order of the specification."""
        estimates = self.specification.estimates
        partitions: dict[str, Partition] = {}
        passes: dict[str, list[tuple[int, Label | None, Variable]]] = {}
        made: dict[int, list[Row]] = {index: [] for index in range(len(estimates))}
        for index, estimate in enumerate(estimates):
            key = repr((sorted(estimate.where.items()), estimate.by))
            if estimate.statistic in ("mean", "proportion", "total", "ratio"):
                passes.setdefault(key, [])
                passes[key] += [(index, level, variable) for level, variable in self.variables(estimate)]
            if key not in partitions and estimate.statistic not in ("difference", "contrast"):
                partitions[key] = partition(self.frame, estimate.where, estimate.by)
            if estimate.statistic == "quantile":
                made[index] = self.quantile_rows(estimate, partitions[key])
            elif estimate.statistic in ("difference", "contrast"):
                made[index] = self.contrast_rows(estimate)
        for key, asked in passes.items():
            domains = partitions[key]
            figures = self.engine.by_domain([variable for _, _, variable in asked], domains)
            for (index, level, variable), found in zip(asked, figures, strict=True):
                made[index] += estimate_rows(
                    estimates[index],
                    level,
                    found,
                    domains.names,
                    confidence=self.specification.confidence,
                    share=variable.kind == "mean" and _is_share(variable.y),
                )
        rows = [row for index in range(len(estimates)) for row in made[index]]
        if self.specification.tests or self.specification.models:
            # statsmodels takes a second to import: only where it is asked for.
            from pipelines.estimation.inference import model_rows, test_rows

            assert self.design is not None
            rows += test_rows(self.specification, self.frame, self.design, self.weights)
            coefficients, notes = model_rows(self.specification, self.frame, self.design, self.weights)
            rows += coefficients
            self.notes += notes
        return rows

    def column(self, name: str, level: Label | None = None) -> FloatArray:
        """A column as numbers, or with a level whether it is at it; NaN where missing."""
        key = (name, None if level is None else label_text(level))
        if key not in self.columns:
            column = self.frame[name]
            self.columns[key] = as_floats(column if level is None else at_level(column, level))
        return self.columns[key]

    def variables(self, estimate: Estimate) -> list[tuple[Label | None, Variable]]:
        """What an estimate is of: for a proportion without a level, each level of a column that is not 0 or 1."""
        assert estimate.measure is not None
        basic = estimate.basic
        if basic == "ratio":
            assert estimate.denominator is not None
            return [(None, Variable("ratio", self.column(estimate.measure), self.column(estimate.denominator)))]
        kind: Kind = "total" if basic == "total" else "mean"
        levels: list[Label | None] = [estimate.level]
        if basic == "proportion" and estimate.level is None:
            levels = [*proportion_levels(self.frame[estimate.measure])]
        return [(level, Variable(kind, self.column(estimate.measure, level))) for level in levels]

    def quantile_rows(self, estimate: Estimate, domains: Partition) -> list[Row]:
        """One row a domain and probability."""
        assert estimate.measure is not None
        y = self.column(estimate.measure)
        found = self.engine.quantiles(
            y,
            estimate.probabilities,
            domains,
            rule=estimate.rule,
            interval=estimate.interval,
            level=self.specification.confidence.level,
        )
        missing = self.engine.missing(y, domains)
        rows = []
        for at, name in enumerate(domains.names):
            for column, probability in enumerate(estimate.probabilities):
                rows.append(
                    {
                        **named_row(estimate, name),
                        "n": int(found.n[at]),
                        "sum_weights": found.sum_weights[at],
                        "estimate": found.estimate[at, column],
                        "se": found.se[at, column],
                        "df": int(found.df[at]),
                        f"ci_{estimate.interval}_low": found.low[at, column],
                        f"ci_{estimate.interval}_high": found.high[at, column],
                        "status": str(found.status[at, column]),
                        "probability": probability,
                        "n_missing": int(missing[at]),
                    }
                )
        return rows

    def contrast_rows(self, estimate: Estimate) -> list[Row]:
        """One row, or one a domain of ``by``."""
        if isinstance(estimate.coefficients, dict):
            name = " ".join(f"{value:+g} {other}" for other, value in estimate.coefficients.items())
            whole = Partition(np.zeros(self.frame.height, dtype=np.int64), (name,))
            return self._contrast_rows(estimate, list(self._parts_of_ids(estimate, 1.0)), whole, None)
        coefficients = estimate.coefficients or (-1.0, 1.0)
        domains = partition(self.frame, estimate.where, estimate.by)
        names = tuple(_sides_name(estimate, prefix, coefficients) for prefix in domains.names)
        sides = [rows_where(self.frame, side) for side in estimate.between]
        rows = []
        for level, variable in self.variables(estimate):
            parts = [(coefficient, variable, side) for coefficient, side in zip(coefficients, sides, strict=True)]
            rows += self._contrast_rows(estimate, parts, Partition(domains.code, names), level)
        return rows

    def _parts_of_ids(self, estimate: Estimate, factor: float) -> Iterator[tuple[float, Variable, BoolArray]]:
        """An estimate of one value as coefficients of statistics in domains."""
        if isinstance(estimate.coefficients, dict):
            by_id = {other.id: other for other in self.specification.estimates}
            for name, coefficient in estimate.coefficients.items():
                yield from self._parts_of_ids(by_id[name], factor * coefficient)
            return
        variables = self.variables(estimate)
        if len(variables) != 1:
            raise AxstatError(
                "several_values",
                where=f"estimate {estimate.id}",
                expected="one value, to be part of a contrast",
                got=f"one for each of {len(variables)} levels",
                hint="give it a level",
            )
        inside = rows_where(self.frame, estimate.where)
        if estimate.statistic in ("difference", "contrast"):
            coefficients = estimate.coefficients or (-1.0, 1.0)
            for coefficient, side in zip(coefficients, estimate.between, strict=True):
                yield factor * coefficient, variables[0][1], inside & rows_where(self.frame, side)
        else:
            yield factor, variables[0][1], inside

    def _contrast_rows(
        self,
        estimate: Estimate,
        parts: Sequence[tuple[float, Variable, BoolArray]],
        domains: Partition,
        level: Label | None,
    ) -> list[Row]:
        figures = self.engine.contrast(
            [variable for _, variable, _ in parts],
            [inside for *_, inside in parts],
            [value for value, *_ in parts],
            domains,
        )
        rows = estimate_rows(
            estimate, level, figures, domains.names, confidence=self.specification.confidence, share=False
        )
        for value, variable, inside in parts:
            if value != 0:
                for at in np.flatnonzero(domains.within(inside & variable.present).rows() == 0):
                    rows[at]["status"] = "empty_domain"
        return rows


def _is_share(y: FloatArray) -> bool:
    return bool(((y == 0) | (y == 1) | np.isnan(y)).all())


def _sides_name(estimate: Estimate, prefix: str, coefficients: Sequence[float]) -> str:
    """``wave=2 - wave=1``, each side with the conditions of both."""
    shared = [] if prefix == "all" else [prefix]
    names = [",".join([*shared, *([conditions_name(side)] if side else [])]) or "all" for side in estimate.between]
    if estimate.statistic == "difference":
        return f"{names[1]} - {names[0]}"
    return " ".join(f"{value:+g} ({name})" for value, name in zip(coefficients, names, strict=True))


def _needed_columns(specification: Specification, file: DataFile, replicates: DataFile | None) -> list[str]:
    """The columns to read; refused are those that the file does not have."""
    faults: list[Violation] = []
    needed: dict[str, None] = {}
    for place, name in specification.columns():
        # The analysis weight may stand beside its replicates.
        if place == "design.weight" and name not in file.columns and replicates and name in replicates.columns:
            continue
        if name in file.columns:
            needed[name] = None
        else:
            faults.append(unknown_name("unknown_column", place, f"a column of {file.name}", name, file.columns))
    plan = specification.calibration
    for term in () if plan is None else plan.terms:
        padded = f":{term}:"
        named = [name for name in file.columns if f":{name}:" in padded or f":{name}=" in padded]
        needed |= dict.fromkeys(named)
        if not named and term != "1":
            place = "calibration.terms"
            faults.append(
                unknown_name("unknown_column", place, f"a column of {file.name}", term.split("=")[0], file.columns)
            )
    if replicates is not None and specification.replicates is not None:
        key = specification.replicates.key
        if key not in replicates.columns:
            faults.append(
                unknown_name(
                    "unknown_column", "replicates.key", f"a column of {replicates.name}", key, replicates.columns
                )
            )
        if key in file.columns:
            needed[key] = None
        elif key != ROW:
            faults.append(
                unknown_name("unknown_column", "replicates.key", f"a column of {file.name}", key, file.columns)
            )
        if not replicate_columns(specification, replicates):
            faults.append(
                unknown_name(
                    "no_replicates",
                    "replicates.columns",
                    f"a pattern of columns of {replicates.name}",
                    " ".join(specification.replicates.columns),
                    replicates.columns,
                )
            )
    if faults:
        raise ViolationsError(f"specification {specification.path.name}", faults)
    # Some columns are needed to count rows.
    return list(needed) or list(file.columns[:1])


def _overlap_faults(specification: Specification, frame: pl.DataFrame, waves: Waves) -> list[Violation]:
    """What is asked of several waves at once and knows nothing of the units that they share."""
    asked = [
        (f"estimates[{index}]", "a quantile", partition(frame, estimate.where, estimate.by))
        for index, estimate in enumerate(specification.estimates)
        if estimate.statistic == "quantile"
    ]
    items = [(f"tests[{index}]", "a test", test.where) for index, test in enumerate(specification.tests)]
    items += [(f"models[{index}]", "a model", model.where) for index, model in enumerate(specification.models)]
    asked += [(place, kind, partition(frame, where, ())) for place, kind, where in items]
    return [
        Violation(
            "several_waves",
            where=place,
            expected=f"rows of one wave: {kind} does not count by wave_covariance overlap what waves share",
            got="rows of several waves, or a calibration over them",
            hint="name a wave in where, take wave_covariance: stacked, or compare waves by statistic: difference",
        )
        for place, kind, domains in asked
        if waves.spanning(domains.code, len(domains.names)).any()
    ]


def _number_faults(specification: Specification, frame: pl.DataFrame) -> list[Violation]:
    """Columns that must be numbers and are not; levels that are not there."""
    wanted: dict[str, str] = {}
    design = specification.design
    for key, names in (("weight", [design.weight] if design.weight else []), ("population", list(design.population))):
        wanted |= dict.fromkeys(names, f"design.{key}")
    faults = []
    for index, estimate in enumerate(specification.estimates):
        place = f"estimates[{index}]"
        if estimate.measure is None:
            continue
        if estimate.basic == "proportion" or estimate.level is not None:
            faults += level_faults(estimate, frame[estimate.measure], place)
        else:
            wanted.setdefault(estimate.measure, f"{place}.measure")
        if estimate.denominator is not None:
            wanted.setdefault(estimate.denominator, f"{place}.denominator")
    for name, place in wanted.items():
        faults += number_faults(frame[name], place=place)
    return faults
