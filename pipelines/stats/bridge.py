"""What a new wording of a question moves by itself, from a sample asked both ways.

Belongs here: the wording effect and its standard error, and how it carries a rate over a break. Does not belong here:
what may be compared without a bridge (change), estimates of either question (rates).

Every unit of the overlap sample has both answers, so the effect is a paired difference: p_new - p_old, and on the logit
scale lambda = logit p_new - logit p_old, each from the design's variance of one influence. A rate asked the old way is
carried over by lambda, since effects in points cannot be the same at 3 % and at 30 %:
logit p* = logit p + lambda, V(logit p*) = V(p)/(p (1 - p))² + V(lambda). The rate and the overlap sample are taken as
independent; where the rate is of the sample itself, p_new is the answer and no bridge is needed.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray, codes_in
from pipelines.stats.design import SurveyDesign
from pipelines.stats.interval_formulas import t_interval
from pipelines.stats.variance import DomainLayout

WORDING_SCHEMA = {
    "domain_code": pl.String,
    "n": pl.Int64,
    "estimate_old": pl.Float64,
    "estimate_new": pl.Float64,
    "effect_pp": pl.Float64,
    "effect_se_pp": pl.Float64,
    "ci_low_pp": pl.Float64,
    "ci_high_pp": pl.Float64,
    "ci_level": pl.Float64,
    "df": pl.Int64,
    "logit_effect": pl.Float64,
    "logit_effect_se": pl.Float64,
}


def wording_effects(
    design: SurveyDesign, *, old: FloatArray, new: FloatArray, domain: pl.Series, level: float = 0.95
) -> pl.DataFrame:
    """The effect of the wording in each domain.

    Args:
        design: of the overlap sample, n rows.
        old, new: answers of 0 or 1 to the two questions ``(n,)``; a unit counts where it answered both, NaN is none.
        domain: label of each row ``(n,)``, null for none.

    Returns:
        WORDING_SCHEMA, sorted by domain. The logit effect is NULL where a rate is 0 or 1.

    Raises:
        AxstatError: nobody answered both questions; answers that are neither 0 nor 1.
    """
    both = np.isfinite(old) & np.isfinite(new)
    answers = np.column_stack([old, new])
    if not both.any() or not np.isin(answers[both], (0.0, 1.0)).all():
        raise AxstatError(
            "overlap_sample",
            where="answers to the old and the new question",
            expected="units that answered both, with 0 or 1",
            got=f"{int(both.sum())} units with both answers, values from {np.nanmin(answers, initial=0):g} to "
            f"{np.nanmax(answers, initial=0):g}",
            hint="a bridge needs a sample that was asked both ways; without one the series stays broken",
        )
    codes = domain.drop_nulls().unique().sort()
    layout = DomainLayout.build(design, codes_in(domain, codes), len(codes))
    used = both[layout.kept][:, None]
    values = np.where(used, answers[layout.kept], 0.0)
    total = layout.sums(layout.weight * used)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = layout.sums(layout.weight * values) / total
        influence = (values - layout.spread(np.nan_to_num(rate)) * used) / layout.spread(total)
        slope = 1.0 / (rate * (1.0 - rate))
        inside = np.isfinite(slope).all(axis=1)
        on_logit = influence * layout.spread(np.where(np.isfinite(slope), slope, 0.0))
    influence, on_logit = (np.nan_to_num(of)[:, 1] - np.nan_to_num(of)[:, 0] for of in (influence, on_logit))
    pair = np.column_stack([influence, on_logit])
    variance = layout.variance(layout.weight * pair, used=np.broadcast_to(used, pair.shape))
    psus, strata = layout.present(used)
    df = (psus - strata)[:, 0]
    effect = rate[:, 1] - rate[:, 0]
    low, high = t_interval(effect, variance[:, 0], df, level=level)
    return pl.DataFrame(
        {
            "domain_code": codes,
            "n": layout.sums(used.astype(np.float64))[:, 0].astype(np.int64),
            "estimate_old": rate[:, 0],
            "estimate_new": rate[:, 1],
            "effect_pp": 100.0 * effect,
            "effect_se_pp": 100.0 * np.sqrt(variance[:, 0]),
            "ci_low_pp": 100.0 * low,
            "ci_high_pp": 100.0 * high,
            "ci_level": np.full(len(codes), level),
            "df": df.astype(np.int64),
            "logit_effect": np.where(inside, special.logit(rate[:, 1]) - special.logit(rate[:, 0]), np.nan),
            "logit_effect_se": np.where(inside, np.sqrt(variance[:, 1]), np.nan),
        },
        schema=WORDING_SCHEMA,
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


@dataclass(frozen=True)
class CarriedRate:
    """A rate as it would have read under the new wording; share, its SE and interval."""

    estimate: float
    se: float
    ci_low: float
    ci_high: float


def carry_over(
    estimate: float, se: float, *, logit_effect: float, logit_effect_se: float, df: float = np.inf, level: float = 0.95
) -> CarriedRate:
    """A rate asked the old way, carried over the break.

    Args:
        estimate, se: of the rate, strictly between 0 and 1.
        df: of the interval, that of the overlap sample.

    Raises:
        AxstatError: a rate of 0 or 1, which has no logit.
    """
    if not 0.0 < estimate < 1.0:
        raise AxstatError(
            "rate_without_logit",
            where="rate to be carried over a break",
            expected="a share above 0 and below 1",
            got=f"{estimate:g}",
            hint="leave this point out of the bridged series",
        )
    middle = special.logit(estimate) + logit_effect
    variance = np.square(se / (estimate * (1.0 - estimate))) + np.square(logit_effect_se)
    low, high = t_interval(np.array([middle]), np.array([variance]), np.array([df]), level=level)
    carried = float(special.expit(middle))
    return CarriedRate(
        estimate=carried,
        se=float(carried * (1.0 - carried) * np.sqrt(variance)),
        ci_low=float(special.expit(low[0])),
        ci_high=float(special.expit(high[0])),
    )
