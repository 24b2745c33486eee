"""Estimates from cells: an engine adds the rows up where they lie, and the statistics are made of the sums.

Belongs here: what a specification asks of `sql/cells/`, and what it cannot have without the rows. Does not belong here:
the statements (`sql/cells/`), engines (warehouse), formulas (stats), estimates from rows (run).
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.estimation.data import open_data
from pipelines.estimation.domains import Partition, as_type, conditions_name, partition
from pipelines.estimation.engine import Figures
from pipelines.estimation.rows import Row, estimate_rows, level_faults, proportion_levels
from pipelines.estimation.sections import Condition, Label
from pipelines.estimation.spec import Estimate, Specification
from pipelines.settings import Settings
from pipelines.stats.design_sheet import mark_faults
from pipelines.stats.linearization import DomainEstimates
from pipelines.stats.moments import ROUNDING, TOLERANCE
from pipelines.stats.stratum_table import StratumTable
from pipelines.stats.terms import unknown_name
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.engine import CellMaker, check_columns, open_cells, parquet_files
from pipelines.warehouse.engines.microdata import Microdata, Value

FROM_CELLS = ("mean", "proportion", "total", "ratio")
# What a copy of a file that is no Parquet is called by, in a folder of its content's name.
_COPY, _DIGITS = "rows.parquet", 16


def rows_from_cells(specification: Specification, settings: Settings) -> tuple[list[Row], list[str]]:
    """The rows of the table, in the order of the specification, and what a reader of them must know.

    Raises:
        ViolationsError: what needs the rows; columns that are not there or not what they are used for; a design that is
            not valid.
        AxstatError: the data cannot be read, the engine cannot be had.
    """
    _refuse_what_needs_rows(specification)
    with _parquet(specification, settings) as (files, types):
        catalogue = SqlCatalogue(settings.sql_dir)
        with open_cells(settings, catalogue, files) as maker:
            work = _Work.prepare(specification, maker, types)
            rows = [
                row
                for position, estimate in enumerate(specification.estimates)
                for row in work.estimate(estimate, f"estimates[{position}]")
            ]
            return rows, work.notes


def _refuse_what_needs_rows(specification: Specification) -> None:
    design = specification.design
    wants_rows = [
        ("tests", bool(specification.tests)),
        ("models", bool(specification.models)),
        ("replicates", specification.replicates is not None),
        ("calibration", specification.calibration is not None),
        ("design.wave_covariance: overlap", design.wave_covariance == "overlap"),
        ("design.population of later stages", len(design.population) > 1),
        ("design.nest: false", not design.nest and bool(design.stages) and design.strata is not None),
        ("design without weight", design.weight is None),
        *(
            (f"estimates[{position}].statistic: {estimate.statistic}", estimate.statistic not in FROM_CELLS)
            for position, estimate in enumerate(specification.estimates)
        ),
    ]
    faults = [
        Violation(
            "needs_rows",
            where=where,
            expected=f"{', '.join(FROM_CELLS)} of a design with weights, by strata and primary units",
            got="what cannot be had from cells",
            hint="leave it out, or give the data as one file and leave AXSTAT_ENGINE unset: the rows are then read",
        )
        for where, wanted in wants_rows
        if wanted
    ]
    if faults:
        raise ViolationsError(f"specification {specification.path.name}", faults)


@contextmanager
def _parquet(
    specification: Specification, settings: Settings
) -> Iterator[tuple[Sequence[Path], dict[str, pl.DataType]]]:
    """The data as Parquet files, and the types of the columns named; a copy of a file of another form is made."""
    place, name = specification.path.parent / specification.data, specification.data
    if place.is_dir():
        files = parquet_files(place, name=name)
        data = open_data(files[0], name=name)
    else:
        files, data = [place], open_data(place, name=name)
    needed = _needed(specification, data.columns, name)
    check_columns(data.columns, where=f"file {name}")
    if data.format == "parquet":
        layout = pl.read_parquet_schema(files[0])
        yield files, {column: layout[column] for column in needed}
        return
    frame = data.read(needed, missing=specification.missing)
    settings.cells_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=settings.cells_dir, prefix="rows-") as made:
        # An engine that keeps files in memory takes one of the same name for the same
        folder = Path(made) / hashlib.sha256(place.read_bytes()).hexdigest()[:_DIGITS]
        folder.mkdir()
        frame.write_parquet(folder / _COPY)
        yield [folder / _COPY], dict(frame.schema)


def _needed(specification: Specification, columns: Sequence[str], name: str) -> list[str]:
    named = list(specification.columns())
    faults = [
        unknown_name("unknown_column", place, f"a column of {name}", column, columns)
        for place, column in named
        if column not in columns
    ]
    if faults:
        raise ViolationsError(f"specification {specification.path.name}", faults)
    return list(dict.fromkeys(column for _, column in named))


@dataclass(eq=False)
class _Work:
    """The cells of a specification's data."""

    specification: Specification
    maker: CellMaker
    base: Microdata
    strata: StratumTable
    notes: list[str] = field(default_factory=list)
    known: dict[str, pl.Series] = field(default_factory=dict)

    @classmethod
    def prepare(cls, specification: Specification, maker: CellMaker, types: dict[str, pl.DataType]) -> "_Work":
        design = specification.design
        assert design.weight is not None
        faults = [
            fault
            for key, names in (("weight", (design.weight,)), ("population", design.population[:1]))
            for name in names
            for fault in _number_faults(types[name], name, f"design.{key}")
        ]
        if faults:
            raise ViolationsError(f"specification {specification.path.name}", faults)
        base = Microdata(
            types=types,
            weight=design.weight,
            strata=design.strata,
            unit=design.stages[0] if design.stages else None,
            population=design.population[0] if design.population else None,
            take_all=design.take_all,
            missing={name: _missing(dtype, specification.missing) for name, dtype in types.items()},
        )
        if design.take_all is not None:
            marks = maker.levels(design.take_all, base).alias(design.take_all)
            # Rows are those of the different values, which say nothing to a person
            if faults := [replace(fault, rows=()) for fault in mark_faults(marks)]:
                raise ViolationsError(f"specification {specification.path.name}", faults)
        counts = maker.cells("cells.design_strata", base)
        if counts.is_empty():
            raise AxstatError(
                "no_rows",
                where=f"file {specification.data}",
                expected="at least one row",
                got="none",
                hint="check the file",
            )
        strata = StratumTable.from_counts(
            counts,
            clustered=bool(design.stages),
            with_population=bool(design.population),
            lonely_psu=design.lonely_psu,
        )
        return cls(specification=specification, maker=maker, base=base, strata=strata)

    def estimate(self, estimate: Estimate, place: str) -> list[Row]:
        """The rows of one estimate."""
        measure = estimate.measure
        assert measure is not None
        types = self.base.types
        faults: list[Violation] = []
        if estimate.basic == "proportion" or estimate.level is not None:
            faults += level_faults(estimate, self.levels(measure), place)
        else:
            faults += _number_faults(types[measure], measure, f"{place}.measure")
        if estimate.denominator is not None:
            faults += _number_faults(types[estimate.denominator], estimate.denominator, f"{place}.denominator")
        if faults:
            raise ViolationsError(f"specification {self.specification.path.name}", faults)
        levels: list[Label | None] = [estimate.level]
        if estimate.basic == "proportion" and estimate.level is None:
            levels = [*proportion_levels(self.levels(measure))]
        rows = []
        for level in levels:
            figures, names = self.figures(estimate, level, place)
            share = estimate.basic in ("mean", "proportion") and (
                level is not None or types[measure] == pl.Boolean or self.maker.only_0_and_1(measure, self.base)
            )
            confidence = self.specification.confidence
            rows += estimate_rows(estimate, level, figures, names, confidence=confidence, share=share)
        return rows

    def levels(self, column: str) -> pl.Series:
        """The different values of a column, asked for once."""
        if column not in self.known:
            self.known[column] = self.maker.levels(column, self.base)
        return self.known[column]

    def figures(self, estimate: Estimate, level: Label | None, place: str) -> tuple[Figures, Sequence[str]]:
        """One statistic in its domains, and their names."""
        design, types = self.specification.design, self.base.types
        assert estimate.measure is not None
        microdata = self.base.asked(
            where=_conditions(estimate.where, types),
            by=estimate.by,
            y=estimate.measure,
            level=None if level is None else cast(Value, as_type(types[estimate.measure], level)),
            x=estimate.denominator,
        )
        table = self.maker.cells("cells.unit_moments" if design.stages else "cells.value_moments", microdata)
        if (table["infinite"] > 0).any():
            raise AxstatError(
                "not_a_number",
                where=f"{place}, column {estimate.measure!r}",
                expected="finite numbers",
                got="infinite values",
                hint="mend the data, or choose another column",
            )
        domains = _domains(table, estimate)
        moments = self.strata.moments(
            table,
            domain=domains.code,
            n_domains=len(domains.names),
            lonely_psu=design.lonely_psu,
            lonely_psu_in_domain=design.lonely_psu_in_domain,
        )
        totals = estimate.basic == "total"
        made = moments.totals() if totals else moments.estimates()
        if not moments.precise(totals=totals):
            self.notes.append(
                f"estimate {estimate.id}: values so close to each other that standard errors lose digits in cells; "
                "estimate it from its rows to have them in full"
            )

        def by_domain(name: str) -> np.ndarray:
            return np.bincount(domains.code, weights=table[name].to_numpy(), minlength=len(domains.names))

        effects = by_domain("row_top_top") > ROUNDING / TOLERANCE * by_domain("row_size")
        figures = _figures(made, n_missing=by_domain("n_missing"), used=by_domain("used_rows"), effects=effects)
        return figures, domains.names


def _figures(made: DomainEstimates, *, n_missing: np.ndarray, used: np.ndarray, effects: np.ndarray) -> Figures:
    """``effects``: domains whose design effects are more than rounding."""
    return Figures(
        estimate=made.estimate[:, 0],
        variance=made.variance[:, 0],
        n=made.n[:, 0],
        n_missing=n_missing,
        df=made.df[:, 0],
        sum_weights=made.sum_weights[:, 0],
        deff=np.where(effects, made.deff[:, 0], np.nan),
        deff_replace=np.where(effects, made.deff_replace[:, 0], np.nan),
        kish_deff=made.kish_deff[:, 0],
        design_rows=used,
    )


def _domains(table: pl.DataFrame, estimate: Estimate) -> Partition:
    """The domain of each row of the table, and the names, as they are from rows."""
    if not estimate.by:
        return Partition(np.zeros(table.height, dtype=np.int64), (conditions_name(estimate.where),))
    column = table["domain"]
    labels = [column] if len(estimate.by) == 1 else column.struct.unnest().get_columns()
    named = pl.DataFrame([each.alias(name) for each, name in zip(labels, estimate.by, strict=True)])
    found = partition(named, {}, estimate.by)
    if not estimate.where:
        return found
    return Partition(found.code, tuple(f"{conditions_name(estimate.where)},{name}" for name in found.names))


def _conditions(where: Condition, types: Mapping[str, pl.DataType]) -> dict[str, list[Value]]:
    """Values as the columns hold them; those that a column cannot hold are left out, and match nothing."""
    return {
        name: [made for value in values if (made := as_type(types[name], value)) is not None]
        for name, values in where.items()
    }


def _missing(dtype: pl.DataType, missing: Sequence[str]) -> list[Value]:
    """What stands for a missing value in a column of this type."""
    if dtype.is_numeric():
        numbers = pl.Series(list(missing), dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls().drop_nans()
        return [made for number in numbers.to_list() if (made := as_type(dtype, number)) is not None]
    return list(missing) if dtype in (pl.String, pl.Categorical, pl.Enum) else []


def _number_faults(dtype: pl.DataType, name: str, place: str) -> list[Violation]:
    if dtype.is_numeric() or dtype == pl.Boolean:
        return []
    return [
        Violation(
            "not_a_number",
            where=f"{place}, column {name!r}",
            expected="a column of numbers or truth values",
            got=str(dtype),
            hint="store it as numbers, or choose another column",
        )
    ]
