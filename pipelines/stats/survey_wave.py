"""The units and answers of one survey wave, and the domains they are counted in.

Belongs here: what of units, frame and answers goes together, the design made from it, the rows of a domain. Does not
belong here: what becomes of them (rates, replicate_rates), change between waves (change).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, codes_in
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.draw_id import DRAW_ID, in_draw_order

Base = Literal["answered", "incl_dont_know"]
UnitWeighting = Literal["unit", "employment"]
FIELD = "field"


@dataclass(frozen=True)
class Domain:
    """One partition into domains: a row's code is '*'.join of the columns; no columns is 'total'.

    Rows with a null in a column, or in ``where_not_null`` (ax_total: units with an ax_industry), are in no
    domain of the type. A type with the column 'field' has rows unit x field and takes the field measures.
    """

    type: str
    columns: tuple[str, ...] = ()
    where_not_null: str | None = None

    @property
    def by_field(self) -> bool:
        """Whether the rows are unit x field."""
        return FIELD in self.columns

    @property
    def needed(self) -> tuple[str, ...]:
        """The classification columns read, without 'field'."""
        extra = () if self.where_not_null is None else (self.where_not_null,)
        return tuple(name for name in (*self.columns, *extra) if name != FIELD)

    def code(self) -> pl.Expr:
        """The domain code, null where the row is in no domain of the type."""
        if self.columns:
            label = pl.concat_str([pl.col(name).cast(pl.String) for name in self.columns], separator="*")
        else:
            label = pl.lit(self.type)
        if self.where_not_null is not None:
            label = pl.when(pl.col(self.where_not_null).is_not_null()).then(label)
        return label.alias("domain_code")


@dataclass(frozen=True, eq=False)
class DomainRows:
    """The responding rows of one domain type. M measures, m rows."""

    measures: tuple[str, ...]
    design_row: IntArray  # (m,)
    code: pl.Series  # (m,) domain code
    value: FloatArray  # (m, M) NaN where there is no 0/1 answer
    dont_know: BoolArray  # (m, M)
    imputed: BoolArray  # (m, M) the value rests on an imputed answer
    employment: FloatArray  # (m,)

    def of(self, measures: slice) -> "DomainRows":
        """The same rows with some of the measures."""
        return replace(
            self,
            measures=self.measures[measures],
            value=self.value[:, measures],
            dont_know=self.dont_know[:, measures],
            imputed=self.imputed[:, measures],
        )


@dataclass(frozen=True, eq=False)
class Wave:
    """Weighted units of one wave with their answers, in the order of draw_id; made by :meth:`build`."""

    units: pl.DataFrame
    answers: pl.DataFrame
    frame: pl.DataFrame
    frame_fields: pl.DataFrame | None
    design: SurveyDesign
    responding: BoolArray
    employment: FloatArray

    @classmethod
    def build(
        cls,
        units: pl.DataFrame,
        answers: pl.DataFrame,
        *,
        frame: pl.DataFrame,
        frame_fields: pl.DataFrame | None = None,
        lonely_psu: LonelyPsu = "fail",
    ) -> "Wave":
        """Check units and answers and make the design.

        Args:
            units: columns of core.weights (unit_id, status, variance_stratum, stratum_n, stratum_population,
                weight, post_stratum) with employment and the classification columns, and draw_id where unit_id must
                not decide the order (:mod:`pipelines.stats.draw_id`); respondents AND out-of-scope units.
            answers: core.unit_measure: unit_id, field ('' or a code), measure, value, answer_status, and imputed;
                without that column no answer is.
            frame: all frame units: unit_id, take_all, employment and the classification columns. It says which
                domains exist, how many units and employees they hold and which are take-all.
            frame_fields: unit_id, field of the fields each frame unit serves; needed to know the domains of
                types by field that nobody answered for, and which of them are take-all.

        Raises:
            ViolationsError: repeated units, employment missing or negative for a respondent, n_h other than
                the rows of the stratum, repeated answers, answers of units that do not respond.
            SingletonStratumError: see SurveyDesign.
        """
        units = in_draw_order(units)
        if "imputed" not in answers.columns:
            answers = answers.with_columns(pl.lit(False).alias("imputed"))
        answers = answers.select("unit_id", FIELD, "measure", "value", "answer_status", "imputed")
        _check(units, answers)
        design = SurveyDesign.from_frame(
            units,
            weight="weight",
            strata="variance_stratum",
            stages=[DRAW_ID],
            population=["stratum_population"],
            calibration_group="post_stratum",
            lonely_psu=lonely_psu,
        )
        return cls(
            units=units,
            answers=answers,
            frame=frame,
            frame_fields=frame_fields,
            design=design,
            responding=(units["status"] == "respondent").to_numpy(),
            employment=units["employment"].cast(pl.Float64).fill_null(0.0).to_numpy(),
        )

    def rows(self, domain: Domain, measures: Sequence[str]) -> DomainRows:
        """The responding rows of a domain type with their answers to the measures.

        For types by field the rows are the (unit, field) pairs with an answer row: a field that a unit
        does not serve has none.
        """
        rows, of_rows = self._asked(tuple(measures), by_field=domain.by_field)
        classified = [self.units[name].gather(rows["design_row"]) for name in dict.fromkeys(domain.needed)]
        coded = rows.with_columns(classified).with_columns(domain.code())["domain_code"]
        inside = coded.is_not_null().to_numpy()
        design_row = rows["design_row"].to_numpy().astype(np.int64)[inside]
        value, dont_know, imputed = of_rows if inside.all() else tuple(of_row[inside] for of_row in of_rows)
        return DomainRows(
            measures=tuple(measures),
            design_row=design_row,
            code=coded.drop_nulls(),
            value=value,
            dont_know=dont_know,
            imputed=imputed,
            employment=self.employment[design_row],
        )

    def _asked(
        self, measures: tuple[str, ...], *, by_field: bool
    ) -> tuple[pl.DataFrame, tuple[FloatArray, BoolArray, BoolArray]]:
        """The responding rows of all domain types of a kind: ``design_row`` and field; value, don't know and imputed.

        Kept, because every domain type asks for the same rows.
        """
        if (measures, by_field) not in self._kept:
            self._kept[measures, by_field] = self._read_answers(measures, by_field=by_field)
        return self._kept[measures, by_field]

    @cached_property
    def _kept(self) -> dict[tuple[tuple[str, ...], bool], tuple[pl.DataFrame, tuple[FloatArray, BoolArray, BoolArray]]]:
        return {}

    def _read_answers(
        self, measures: tuple[str, ...], *, by_field: bool
    ) -> tuple[pl.DataFrame, tuple[FloatArray, BoolArray, BoolArray]]:
        rows = self.units.select("unit_id").with_row_index("design_row").filter(pl.Series(self.responding))
        asked = self.answers.filter(pl.col("measure").is_in(list(measures)), (pl.col(FIELD) != "") == by_field)
        key = ["unit_id"]
        if by_field:
            key = ["unit_id", FIELD]
            rows = asked.select(key).unique().join(rows, on="unit_id", how="inner").sort("design_row", FIELD)
        rows = rows.with_row_index("row")
        placed = asked.join(rows.select("row", *key), on=key, how="inner")
        at = placed["row"].to_numpy().astype(np.int64)
        column = codes_in(placed["measure"], pl.Series(list(measures), dtype=pl.String))
        status = placed["answer_status"]
        value = np.full((rows.height, len(measures)), np.nan)
        value[at, column] = np.where(
            (status == "answered").to_numpy(),
            placed["value"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            np.nan,
        )
        dont_know = np.zeros(value.shape, dtype=np.bool_)
        dont_know[at, column] = (status == "dont_know").to_numpy()
        imputed = np.zeros(value.shape, dtype=np.bool_)
        imputed[at, column] = placed["imputed"].to_numpy()
        return rows.drop("row"), (value, dont_know, imputed)

    def frame_domains(self, domain: Domain) -> pl.DataFrame:
        """The domains of a type, sorted: domain_code, units, employment, take_all.

        Units and employment are those of the frame less observed out-of-scope.
        """
        schema = {"domain_code": pl.String, "units": pl.Float64, "employment": pl.Float64, "take_all": pl.Boolean}
        if domain.by_field and self.frame_fields is None:
            return pl.DataFrame(schema=schema)
        members = self.eligible_frame
        if domain.by_field and self.frame_fields is not None:
            members = members.join(self.frame_fields.select("unit_id", FIELD), on="unit_id", how="inner")
        # Labels are made of the few groups, not of every frame unit.
        parts = list(dict.fromkeys([*domain.needed, *([FIELD] if domain.by_field else [])]))
        sums = [pl.col("units", "employment").sum(), pl.col("take_all").all()]
        groups = members.group_by(parts).agg(sums) if parts else members.select(sums)
        return (
            groups.with_columns(domain.code())
            .filter(pl.col("domain_code").is_not_null())
            .group_by("domain_code")
            .agg(sums)
            .sort("domain_code")
            .select(*schema)
        )

    @cached_property
    def eligible_frame(self) -> pl.DataFrame:
        """The frame with ``units``, 1 or for observed out-of-scope units 0, and ``employment`` likewise."""
        out = self.units.filter(pl.col("status") == "out_of_scope").select("unit_id", pl.lit(0.0).alias("units"))
        listed = self.frame.join(out, on="unit_id", how="left").with_columns(pl.col("units").fill_null(1.0))
        return listed.with_columns(pl.col("employment").cast(pl.Float64).fill_null(0.0) * pl.col("units"))


def _check(units: pl.DataFrame, answers: pl.DataFrame) -> None:
    respondents = units.filter(pl.col("status") == "respondent")
    rows_in_stratum = pl.len().over("variance_stratum")
    faults: list[Violation] = []
    for code, found, expected, got in (
        (
            "unit_repeated",
            units.filter(pl.col("unit_id").is_duplicated()),
            "one row a unit",
            "several",
        ),
        (
            "employment_invalid",
            respondents.filter(pl.col("employment").is_null() | (pl.col("employment").cast(pl.Float64) < 0)),
            "the register's employment for every respondent, 0 or more",
            "none, or below 0",
        ),
        (
            "stratum_count_differs",
            units.filter(pl.col("stratum_n") != rows_in_stratum),
            "all responding and observed out-of-scope units of the stratum",
            "rows other than stratum_n",
        ),
        (
            "answer_repeated",
            answers.filter(pl.struct("unit_id", FIELD, "measure").is_duplicated()),
            "one answer a unit, field and measure",
            "several",
        ),
        (
            "answer_without_respondent",
            answers.join(respondents.select("unit_id"), on="unit_id", how="anti"),
            "answers of responding units only",
            "answers of units without a weight as respondents",
        ),
    ):
        if found.height:
            at_fault = found["unit_id"].unique().sort().to_list()
            shown = ", ".join(at_fault[:10]) + (f" and {len(at_fault) - 10} more" if len(at_fault) > 10 else "")
            faults.append(
                Violation(
                    code,
                    where=f"units {shown}",
                    expected=expected,
                    got=got,
                    hint="check the weights and the answers of these units",
                )
            )
    if faults:
        raise ViolationsError("units and answers", faults)
    wrong = answers.filter(
        (pl.col("answer_status") == "answered")
        & (pl.col("value").is_null() | (pl.col("value") < 0) | (pl.col("value") > 1))
    )
    if wrong.height:
        raise AxstatError(
            "answer_not_a_share",
            where=f"units {', '.join(wrong['unit_id'].unique().sort().head(10).to_list())}",
            expected="a value from 0 to 1 for every answer with status 'answered'",
            got=f"{wrong.height} other value(s)",
            hint="check the derivation of the measures",
        )
