"""Unknown eligibility, non-response and response rates.

Belongs here: the sharing of unknown eligibility, weighting classes with their collapse, what becomes of response
propensities, AAPOR response rates. Does not belong here: the model of response (propensity), base weights and
the chain of factors (weighting), calibration.

A unit's final ``status`` is 'respondent', 'eligible_nonrespondent', 'unknown_eligibility' or 'out_of_scope'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.collapse import Coarsening, Collapse, collapse_cells
from pipelines.stats.draw_id import in_draw_order
from pipelines.stats.propensity import propensity_classes, response_propensities

STATUSES = ("respondent", "eligible_nonrespondent", "unknown_eligibility", "out_of_scope")

# AAPOR final disposition of a partial interview.
PARTIAL = "1.2"


@dataclass(frozen=True)
class CollapseRule:
    """What cells are made of and when they are too small.

    ``min_respondents`` and ``max_factor`` (None: no limit) are what a cell must keep to; ``order`` the
    levels by which it is made coarser while it does not.
    """

    parts: tuple[str, ...]
    order: tuple[Coarsening, ...]
    min_respondents: int
    max_factor: float | None = None


@dataclass(frozen=True)
class ResponseModel:
    """How response propensities enter the weights.

    ``use`` 'classes': units get a column ``propensity_class``, quantiles of the propensity, which the rule of the
    weighting classes names among its parts. 'inverse': inside each weighting class the factors are as the inverse
    propensities, held at ``max_factor``, and the class keeps its sum. ``terms`` are those of the model.
    """

    terms: tuple[str, ...]
    use: Literal["classes", "inverse"]
    classes: int = 5
    max_factor: float = 5.0


@dataclass(frozen=True)
class NonresponseAdjustment:
    """``units``: the input with ``nonresponse_class``, ``eligibility_factor``, ``nonresponse_factor``.

    Also ``inverse_propensity``, the g of :func:`adjust_nonresponse`, 1 without a model. The factors are 1 for units
    that carry no weight afterwards (non-respondents, unknown eligibility).
    ``coefficients`` of the model of response: term, coefficient; None without one.
    """

    units: pl.DataFrame
    collapse: Collapse
    coefficients: pl.DataFrame | None = None


def adjust_nonresponse(
    units: pl.DataFrame, *, rule: CollapseRule, model: ResponseModel | None = None
) -> NonresponseAdjustment:
    """Share unknown eligibility and spread non-respondents' weight, class by class (method.md 2).

    In a class with base weight E of known eligible units (of which R responding), O of out-of-scope and U of
    unknown eligibility, the eligibility rate is e = E/(E + O) (AAPOR RR3). e U is shared among the eligible
    and (1 - e) U among the out-of-scope units, so both are multiplied by 1 + U/(E + O); then the respondents
    are multiplied by E/R. Out-of-scope units keep their weight; the sum of weights of a class is kept.
    With inverse propensities R is the sum of w g and a respondent is multiplied by g E/R, g = min(1/p, max_factor).

    Classes start as the parts crossed with three blocks that never merge: sampled units, units of take-all
    strata, and units of take-all strata in which every unit answered or was found out of scope. The last
    are left alone (their factor is 1 and needs no minimum), so that a full census stays unweighted.

    Args:
        units: the selected units: unit_id, status, selection_stratum, take_all, base_weight, the part
        columns, and those of the model's terms.

    Raises:
        ViolationsError, AxstatError: of :func:`pipelines.stats.propensity.response_propensities`.
        AxstatError: a part is missing for a unit; a class has unknown or eligible weight and no respondent.
    """
    fitted = None if model is None else response_propensities(units, model.terms)
    inverse: pl.Expr | pl.Series = pl.lit(1.0)
    if model is not None and fitted is not None:
        if model.use == "classes":
            weight = units["base_weight"].cast(pl.Float64).to_numpy()
            units = units.with_columns(propensity_classes(fitted.value, weight, classes=model.classes))
        else:
            inverse = pl.Series(np.minimum(1.0 / fitted.value, model.max_factor))
    for name in rule.parts:
        absent = units.filter(pl.col(name).is_null())
        if absent.height:
            raise AxstatError(
                "class_part_missing",
                where=f"units {', '.join(absent['unit_id'].sort().head(10).to_list())}",
                expected=f"{name} known for every selected unit on the frame",
                got=f"{absent.height} unit(s) without",
                hint="complete the classification on the frame",
            )
    status = pl.col("status")
    missed = status.is_in(["eligible_nonrespondent", "unknown_eligibility"])
    marked = (
        units.with_columns(
            pl.when(~pl.col("take_all"))
            .then(pl.lit("sampled"))
            .when(missed.any().over("selection_stratum", "take_all"))
            .then(pl.lit("take_all"))
            .otherwise(pl.lit("census"))
            .alias("block"),
            inverse.alias("inverse"),
            *[pl.col(name).cast(pl.String) for name in rule.parts],
        )
        .with_columns(
            pl.when(pl.col("block") == "census").then(1.0).otherwise(pl.col("inverse")).alias("inverse"),
            pl.concat_str([pl.col(name) for name in rule.parts] or [pl.lit("all")], separator="/").alias("parts_label"),
        )
        .with_columns(
            pl.when(pl.col("block") == "sampled")
            .then(pl.col("parts_label"))
            .otherwise(pl.col("parts_label") + "#" + pl.col("block"))
            .alias("cell")
        )
    )
    w = pl.col("base_weight")
    cells = (
        in_draw_order(marked)
        .group_by("cell", "block", *rule.parts)
        .agg(
            (status == "respondent").sum().alias("respondents"),
            w.filter(status == "respondent").sum().alias("responding"),
            (w * pl.col("inverse")).filter(status == "respondent").sum().alias("raised"),
            w.filter(status.is_in(["respondent", "eligible_nonrespondent"])).sum().alias("eligible"),
            w.filter(status == "out_of_scope").sum().alias("out_of_scope"),
            w.filter(status == "unknown_eligibility").sum().alias("unknown"),
            (pl.col("block") == "census").sum().alias("census_units"),
        )
        .sort("cell")
    )

    def sufficient(counts: Mapping[str, float]) -> str | None:
        if counts["census_units"] > 0:
            return None
        if counts["respondents"] < rule.min_respondents:
            return f"{counts['respondents']:.0f} respondent(s), at least {rule.min_respondents} needed"
        factor = counts["eligible"] / counts["responding"] if counts["responding"] > 0 else float("inf")
        if rule.max_factor is not None and factor > rule.max_factor:
            return f"non-response factor {factor:.3f}, at most {rule.max_factor:g} wanted"
        return None

    sums = ["responding", "raised", "eligible", "out_of_scope", "unknown"]
    collapse = collapse_cells(
        cells,
        parts=rule.parts,
        order=rule.order,
        counts=["respondents", "census_units", *sums],
        size="respondents",
        sufficient=sufficient,
        block=["block"],
    )
    classes = (
        collapse.cells.group_by("merged_cell", maintain_order=True)
        .agg(*[pl.col(name).sum() for name in sums])
        .with_columns(
            (1.0 + pl.col("unknown") / (pl.col("eligible") + pl.col("out_of_scope"))).alias("eligibility_factor"),
            (pl.col("eligible") / pl.col("raised")).alias("nonresponse_factor"),
        )
    )
    lost = classes.filter(
        ((pl.col("eligible") > 0) & (pl.col("responding") <= 0))
        | ((pl.col("unknown") > 0) & (pl.col("eligible") + pl.col("out_of_scope") <= 0))
    )
    if lost.height:
        raise AxstatError(
            "class_without_respondents",
            where=f"weighting classes {', '.join(lost['merged_cell'].sort().to_list())}",
            expected="a respondent in every class with eligible or unknown units, after collapsing",
            got="none",
            hint="add a coarser level to the collapse order of the weighting classes",
        )
    weighted = status.is_in(["respondent", "out_of_scope"])
    adjusted = (
        marked.join(
            collapse.cells.select("cell", pl.col("merged_cell").alias("nonresponse_class")),
            on="cell",
            how="left",
        )
        .join(
            classes.select(
                pl.col("merged_cell").alias("nonresponse_class"), "eligibility_factor", "nonresponse_factor"
            ),
            on="nonresponse_class",
            how="left",
        )
        .with_columns(
            pl.when(weighted).then(pl.col("eligibility_factor")).otherwise(1.0).alias("eligibility_factor"),
            pl.when(status == "respondent")
            .then(pl.col("nonresponse_factor") * pl.col("inverse"))
            .otherwise(1.0)
            .alias("nonresponse_factor"),
        )
    )
    factors = adjusted.select(
        "unit_id",
        "nonresponse_class",
        "eligibility_factor",
        "nonresponse_factor",
        pl.col("inverse").alias("inverse_propensity"),
    )
    return NonresponseAdjustment(
        units=units.join(factors, on="unit_id", how="left", maintain_order="left"),
        collapse=collapse,
        coefficients=None if fitted is None else fitted.coefficients,
    )


def response_factors(units: pl.DataFrame) -> pl.DataFrame:
    """The factors of every unit, 0 at the step at which it gives its weight away: the sums of the steps agree.

    Args:
        units: those of a NonresponseAdjustment: status, nonresponse_class and the two factors.

    Returns:
        status, eligibility_factor, nonresponse_factor, nonresponse_class, in the order of the units.
    """
    status = pl.col("status")
    # Eligible units share in what units of unknown eligibility give, whether they responded or not.
    of_class = pl.col("eligibility_factor").filter(status.is_in(["respondent", "out_of_scope"])).max()
    shared = of_class.over("nonresponse_class").fill_null(1.0)
    return units.select("status", "eligibility_factor", "nonresponse_factor", "nonresponse_class").with_columns(
        pl.when(status == "unknown_eligibility")
        .then(0.0)
        .when(status == "eligible_nonrespondent")
        .then(shared)
        .otherwise(pl.col("eligibility_factor"))
        .alias("eligibility_factor"),
        pl.when(status == "eligible_nonrespondent")
        .then(0.0)
        .otherwise(pl.col("nonresponse_factor"))
        .alias("nonresponse_factor"),
    )


def response_rates(sample: pl.DataFrame, *, by: Sequence[str] = (), weight: str | None = None) -> pl.DataFrame:
    """AAPOR response rates RR1 to RR6, unweighted or weighted.

    With complete interviews I, partial P, eligible non-respondents R+NC+O, unknown eligibility UH+UO and
    e = known eligible / (known eligible + out of scope):
    RR1 = I/(I+P+R+NC+O+UH+UO), RR2 = (I+P)/same, RR3 = I/(I+P+R+NC+O + e(UH+UO)), RR4 = (I+P)/same,
    RR5 = I/(I+P+R+NC+O), RR6 = (I+P)/same. (AAPOR, Standard Definitions, 10th edition.)

    Args:
        sample: one row a selected unit: ``status`` (final), ``disposition`` (code; '1.2...' of a respondent
            is a partial interview; a 1.x unit without a valid answer has the status eligible_nonrespondent).
        by: columns to group by; weight: column to weight by, e.g. base weight or employment.

    Returns:
        the by columns, n, complete, partial, eligible_nonrespondent, unknown_eligibility, out_of_scope, e,
        rr1..rr6 (NaN-free: NULL where the denominator is 0), sorted by the by columns.
    """
    one = pl.lit(1.0) if weight is None else pl.col(weight).cast(pl.Float64)
    status = pl.col("status")
    partial = (status == "respondent") & pl.col("disposition").str.starts_with(PARTIAL)
    amount = [
        pl.len().cast(pl.Int64).alias("n"),
        *[
            (mask.cast(pl.Float64) * one).sum().alias(name)
            for name, mask in (
                ("complete", (status == "respondent") & ~partial),
                ("partial", partial),
                *((name, status == name) for name in STATUSES[1:]),
            )
        ],
    ]
    counted = sample.group_by(*by, maintain_order=True).agg(*amount).sort(*by) if by else sample.select(*amount)
    complete, either = pl.col("complete"), pl.col("complete") + pl.col("partial")
    eligible = either + pl.col("eligible_nonrespondent")
    unknown = pl.col("unknown_eligibility")

    def rate(top: pl.Expr, bottom: pl.Expr, name: str) -> pl.Expr:
        return pl.when(bottom > 0).then(top / bottom).alias(name)

    with_e = counted.with_columns(rate(eligible, eligible + pl.col("out_of_scope"), "e"))
    e = pl.col("e").fill_null(1.0)
    return with_e.with_columns(
        rate(complete, eligible + unknown, "rr1"),
        rate(either, eligible + unknown, "rr2"),
        rate(complete, eligible + e * unknown, "rr3"),
        rate(either, eligible + e * unknown, "rr4"),
        rate(complete, eligible, "rr5"),
        rate(either, eligible, "rr6"),
    )
