"""Model-based rates of small domains beside the direct ones.

Belongs here: the scale, the smoothed sampling variances, covariates from the frame, the way back to shares,
benchmarking, mean squared errors. Does not belong here: the linear model (fay_herriot), direct estimates (rates).

Method (method.md 7, decision 0022). Domains whose every eligible unit answered are known and left out of the model.

- Scale: y = asin sqrt(p), whose sampling variance hardly depends on p: V(y) = V(p)/(4 p (1 - p)).
- Generalised variance function: V(y_d) = delta x_d, x_d = sum over the units of the base of (1 - r f) (a_i/sum a)²/4,
  a the weight (times employment), f = n_h/N_h, r the share that answered. That is V(y_d) if answers were independent
  with one p in the domain. delta, what stratification and weighting change on average, is
  sum df_d V(y_d)/sum df_d x_d over the domains with 0 < p < 1. A direct variance of a small domain is too noisy to
  be trusted one by one, and is 0 where all answered alike.
- Model: Fay-Herriot by REML. A domain without a direct estimate gets the regression (gamma 0).
- Back: E sin² of a normal variable with the EBLUP as mean and g1 as variance, (1 - cos(2 theta) exp(-2 g1))/2; sin² of
  the EBLUP alone would be biased where the curve bends.
- Benchmark: the odds of all modelled domains are multiplied by one factor, such that the domains add up to the direct
  rate of the whole. On the odds, because a factor on shares could take them above 1.
- Mean squared error: parametric bootstrap of all that (effects and sampling errors drawn, model fitted anew,
  transformed and benchmarked). Its errors, as angles asin sqrt(p), are laid around the estimate: their mean square on
  the scale of shares is the mean squared error, their quantiles are the interval. The bootstrap draws effects with
  the adjusted s (fay_herriot), which is above 0: where REML gives s = 0 the data cannot tell small effects from none,
  and intervals that took none for granted would be too short. The estimates stay those of REML, and the 0 is
  reported.

Draws are permanent numbers of the domain (replicate_draws) under the key of survey, wave, measure and weighting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
import polars as pl
from scipy import special

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, as_floats, codes_in, safe_divide
from pipelines.stats.fay_herriot import AreaModel, Prediction
from pipelines.stats.rates import RateScores, eligible_if_take_all, listed_as
from pipelines.stats.reliability import WIDE_WIDTH
from pipelines.stats.replicate_draws import permanent_numbers
from pipelines.stats.survey_wave import Base, Domain, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

REPLICATES: Final = 500
# Domains with 0 < p < 1 beyond the coefficients, without which no model is fitted.
SPARE_AREAS: Final = 3
# Search for the benchmarking factor: of its logarithm, and how often the range is halved.
LARGEST_SHIFT: Final = 50.0
HALVINGS: Final = 70

SMALL_AREA_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "base": pl.String,
    "unit_weighting": pl.String,
    "n": pl.Int64,
    "direct": pl.Float64,
    "direct_se": pl.Float64,
    "smoothed_se": pl.Float64,
    "method": pl.String,
    "reason": pl.String,
    "estimate": pl.Float64,
    "rmse": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "ci_level": pl.Float64,
    "reliability": pl.String,
    "gamma": pl.Float64,
    "residual": pl.Float64,
    "g1_share": pl.Float64,
    "g2_share": pl.Float64,
    "g3_share": pl.Float64,
    "covariates": pl.String,
    "areas": pl.Int64,
    "sigma2_v": pl.Float64,
    "sigma2_v_zero": pl.Boolean,
    "variance_factor": pl.Float64,
    "benchmark_weight": pl.Float64,
    "benchmark_factor": pl.Float64,
}

CovariateKind = Literal["mean_log_employment", "share", "last_wave"]
MODEL, DIRECT = "model-based", "direct"
KNOWN, TOO_FEW, NO_COVARIATE = "known", "too_few_domains", "no_covariate"


@dataclass(frozen=True)
class AreaCovariate:
    """A covariate of the domains, from the frame or from the wave before.

    Attributes:
        kind: 'mean_log_employment' of the eligible frame units; 'share' of them with one of ``codes`` in ``column``;
            'last_wave': the direct rate one wave before, on the arcsine scale; left out where there is no
            comparable wave before.
    """

    kind: CovariateKind
    column: str = ""
    codes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How tables name it, e.g. 'share institution_type=local_government'."""
        return f"{self.kind} {self.column}={','.join(self.codes)}" if self.column else self.kind


@dataclass(frozen=True, eq=False)
class AreaInput:
    """What the model takes of one measure and weighting; D domains."""

    direct: FloatArray  # (D,) NaN without respondents
    variance: FloatArray  # (D,)
    df: FloatArray  # (D,)
    anticipated: FloatArray  # (D,) x of the generalised variance function; NaN without respondents
    weight: FloatArray  # (D,) a: the domain's part of the base's weights
    known: BoolArray  # (D,)
    covariates: FloatArray  # (D, p) with the intercept
    total: float  # the direct rate of the whole


@dataclass(frozen=True, eq=False)
class AreaResult:
    """Model-based rates ``(m,)`` of the modelled domains, and the model."""

    modelled: BoolArray  # (D,)
    estimate: FloatArray
    rmse: FloatArray
    low: FloatArray
    high: FloatArray
    smoothed: FloatArray  # sampling variance on the arcsine scale
    prediction: Prediction  # of one data set
    delta: float
    factor: float


def small_areas(
    wave: Wave,
    *,
    before: Wave | None,
    domain: Domain,
    measures: Sequence[str],
    covariates: Sequence[AreaCovariate],
    key: tuple[str, ...],
    base: Base = "answered",
    unit_weightings: Sequence[UnitWeighting] = ("unit", "employment"),
    level: float = 0.95,
    replicates: int = REPLICATES,
) -> pl.DataFrame:
    """Direct and model-based rates of a domain type, one row a domain, measure and weighting.

    Args:
        before: the wave before of the same comparability segment, None without one; read by 'last_wave' only.
        domain: a type that divides the whole, so that its domains add up to the total.
        key: what the draws are for: survey and wave.
        replicates: of the bootstrap.

    Returns:
        SMALL_AREA_SCHEMA, every domain of the frame. ``method`` 'direct' with a ``reason`` where there is no model:
        'known' (every eligible unit answered), 'no_covariate', 'too_few_domains' (all rows of the measure: fewer
        than SPARE_AREAS more domains with 0 < p < 1 than coefficients). sum of ``benchmark_weight`` x
        ``estimate`` is the direct rate of the whole.

    Raises:
        AxstatError: units in no domain of the type; covariates that depend on each other.
    """
    tables = []
    for weighting in unit_weightings:
        whole = _direct(wave, Domain("total"), measures, base=base, unit_weighting=weighting)
        parts = _direct(wave, domain, measures, base=base, unit_weighting=weighting)
        if not np.allclose(parts.weight.sum(axis=0), whole.weight[0], rtol=1e-9):
            raise AxstatError(
                "domains_do_not_add_up",
                where=f"small areas, {domain.type}",
                expected="every responding unit in one domain of the type",
                got="units in none",
                hint="name a domain type that divides the whole survey",
            )
        earlier = None if before is None else _direct(before, domain, measures, base=base, unit_weighting=weighting)
        fixed = _frame_covariates(wave, domain, parts.codes, covariates)
        for at, measure in enumerate(measures):
            named = dict(fixed)
            if earlier is not None and any(covariate.kind == "last_wave" for covariate in covariates):
                named["last_wave"] = _last_wave(parts.codes, earlier, at)
            given = AreaInput(
                direct=parts.estimate[:, at],
                variance=parts.variance[:, at],
                df=parts.df[:, at],
                anticipated=parts.anticipated[:, at],
                weight=parts.weight[:, at] / whole.weight[0, at],
                known=parts.known[:, at],
                covariates=np.column_stack([np.ones(len(parts.codes)), *named.values()]),
                total=float(whole.estimate[0, at]),
            )
            result = fit_areas(given, parts.codes, key=(*key, measure, weighting), level=level, replicates=replicates)
            tables.append(
                _table(given, parts, at, result, named, level).with_columns(
                    pl.lit(domain.type).alias("domain_type"),
                    pl.lit(measure).alias("measure"),
                    pl.lit(base).alias("base"),
                    pl.lit(weighting).alias("unit_weighting"),
                )
            )
    return pl.concat(table.select(*SMALL_AREA_SCHEMA) for table in tables)


def fit_areas(
    given: AreaInput, codes: pl.Series, *, key: tuple[str, ...], level: float, replicates: int
) -> AreaResult | None:
    """Fit, transform, benchmark, and repeat in the bootstrap; None where there are too few domains.

    Args:
        codes: ``(D,)`` of the domains; with ``key`` they say what is drawn.
    """
    modelled = ~given.known & np.isfinite(given.covariates).all(axis=1)
    inside = modelled & (given.direct > 0) & (given.direct < 1) & (given.variance > 0)
    if inside.sum() < given.covariates.shape[1] + SPARE_AREAS:
        return None
    slope = 4.0 * given.direct[inside] * (1.0 - given.direct[inside])
    delta = float(
        (given.df[inside] @ (given.variance[inside] / slope)) / (given.df[inside] @ given.anticipated[inside])
    )
    observed = np.isfinite(given.direct[modelled])
    smoothed = delta * given.anticipated[modelled]
    x, weight = given.covariates[modelled], given.weight[modelled]
    model = AreaModel.build(smoothed[observed], x[observed])

    def estimates(y: FloatArray, total: FloatArray) -> tuple[FloatArray, FloatArray, Prediction]:
        """Shares ``(B, m)`` and factors ``(B,)`` of B data sets ``(B, m)`` whose modelled part has the rate total."""
        fit = model.predict(y[:, observed], model.reml(y[:, observed]))
        theta, spread = fit.beta @ x.T, np.repeat(fit.s[:, None], len(x), axis=1)
        theta[:, observed], spread[:, observed] = fit.estimate, fit.g1
        share = (1.0 - np.cos(2.0 * np.clip(theta, 0.0, np.pi / 2)) * np.exp(-2.0 * spread)) / 2.0
        factor = _odds_factor(share, weight, total)
        return special.expit(special.logit(share) + np.log(factor)[:, None]), factor, fit

    y = np.where(observed, np.arcsin(np.sqrt(given.direct[modelled])), 0.0)[None]
    rest = ~modelled
    remaining = given.total - float(given.weight[rest] @ np.nan_to_num(given.direct[rest]))
    if not -1e-9 <= remaining <= float(weight.sum()) + 1e-9:
        raise AxstatError(
            "benchmark_out_of_reach",
            where=f"small areas, {' '.join(key)}",
            expected=f"a direct rate of the whole that the modelled domains can make up, 0 to {weight.sum():.6g} of it",
            got=f"{remaining:.6g} left for them after the domains that are known",
            hint="compare the rates of the known domains with the total; their weights may be far from 1",
        )
    share, factor, fit = estimates(y, np.array([remaining]))

    s = model.reml(y[:, observed], adjusted=True)
    labels = codes.filter(pl.Series(modelled))
    effect, error = (
        special.ndtri(permanent_numbers(labels, key=(*key, purpose), replicates=replicates)).T
        for purpose in ("area_effect", "area_error")
    )
    truth = np.clip(model.predict(y[:, observed], s).beta @ x.T + np.sqrt(s[:, None]) * effect, 0.0, np.pi / 2)
    again = np.clip(truth + np.sqrt(np.where(observed, smoothed, 0.0)) * error, 0.0, np.pi / 2)
    redone, _, _ = estimates(again, np.square(np.sin(again))[:, observed] @ weight[observed])
    angles = np.arcsin(np.sqrt(share[0])) + truth - np.arcsin(np.sqrt(redone))
    around = np.square(np.sin(np.clip(angles, 0.0, np.pi / 2)))
    low, high = np.quantile(around, [0.5 - level / 2.0, 0.5 + level / 2.0], axis=0)
    return AreaResult(
        modelled=modelled,
        estimate=share[0],
        rmse=np.sqrt(np.square(around - share[0]).mean(axis=0)),
        low=low,
        high=high,
        smoothed=np.where(observed, smoothed, np.nan),
        prediction=fit,
        delta=delta,
        factor=float(factor[0]),
    )


def _odds_factor(share: FloatArray, weight: FloatArray, total: FloatArray) -> FloatArray:
    """The factor ``(B,)`` on the odds of shares ``(B, m)`` with which sum weight x share is the total ``(B,)``."""
    logits = special.logit(share)
    low, high = np.full(len(share), -LARGEST_SHIFT), np.full(len(share), LARGEST_SHIFT)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        above = special.expit(logits + middle[:, None]) @ weight > total
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return cast(FloatArray, np.exp((low + high) / 2.0))


@dataclass(frozen=True, eq=False)
class _Direct:
    """Direct estimates of the domains of a type and what they rest on; D domains, M measures."""

    codes: pl.Series  # (D,)
    estimate: FloatArray  # (D, M)
    variance: FloatArray  # (D, M)
    n: FloatArray  # (D, M)
    df: FloatArray  # (D, M)
    weight: FloatArray  # (D, M) weights (times employment) of the base
    anticipated: FloatArray  # (D, M) x of the generalised variance function
    known: BoolArray  # (D, M)


def _direct(
    wave: Wave, domain: Domain, measures: Sequence[str], *, base: Base, unit_weighting: UnitWeighting
) -> _Direct:
    rows, listed = wave.rows(domain, measures), wave.frame_domains(domain)
    codes = pl.concat([listed["domain_code"], rows.code]).unique().sort()
    layout = DomainLayout.build(wave.design, codes_in(rows.code, codes), len(codes), rows=rows.design_row)
    eligible = eligible_if_take_all(listed_as(codes, listed))
    scores = RateScores.build(layout, rows, eligible=eligible, base=base, unit_weighting=unit_weighting)
    # The weight of the unit, also in known domains: it is what the whole is made of
    acting = layout.weight * scores.size * scores.used
    weight = layout.sums(acting)
    level = layout.levels[0]
    unobserved = 1.0 - layout.answering_share(scores.observed) * (
        1.0 - level.stage.unsampled_share[level.cell_stratum][:, None]
    )
    squares = level.cell_sum @ (unobserved * (level.cells @ np.square(level.totals(acting))))
    return _Direct(
        codes=codes,
        estimate=scores.estimate,
        variance=scores.variance,
        n=scores.n,
        df=scores.df,
        weight=weight,
        anticipated=safe_divide(squares, 4.0 * np.square(weight)),
        known=scores.complete,
    )


def _frame_covariates(
    wave: Wave, domain: Domain, codes: pl.Series, covariates: Sequence[AreaCovariate]
) -> dict[str, FloatArray]:
    """The covariates ``(D,)`` that the frame has, by name; NaN for domains that are not in the frame."""
    members = wave.eligible_frame.with_columns(domain.code()).filter(
        pl.col("domain_code").is_not_null() & (pl.col("units") > 0)
    )
    found = {}
    for covariate in covariates:
        if covariate.kind == "last_wave":
            continue
        value = (
            pl.col(covariate.column).is_in(list(covariate.codes)).mean()
            if covariate.kind == "share"
            # Sorted, because the sum of frame units must not depend on their order
            else pl.col("employment").clip(lower_bound=1.0).log().sort().mean()
        )
        by_code = members.group_by("domain_code").agg(value.alias("value"))
        found[covariate.name] = as_floats(listed_as(codes, by_code)["value"])
    return found


def _last_wave(codes: pl.Series, earlier: _Direct, measure: int) -> FloatArray:
    rates = pl.DataFrame({"domain_code": earlier.codes, "value": earlier.estimate[:, measure]})
    return cast(FloatArray, np.arcsin(np.sqrt(as_floats(listed_as(codes, rates)["value"]))))


def _table(
    given: AreaInput,
    parts: _Direct,
    measure: int,
    result: AreaResult | None,
    covariates: dict[str, FloatArray],
    level: float,
) -> pl.DataFrame:
    size = len(parts.codes)
    modelled = np.zeros(size, dtype=np.bool_) if result is None else result.modelled
    observed = modelled & np.isfinite(given.direct)

    def placed(values: FloatArray, where: BoolArray, otherwise: FloatArray | float = np.nan) -> FloatArray:
        column = np.broadcast_to(otherwise, (size,)).copy()
        column[where] = values
        return column

    table = {
        "domain_code": parts.codes,
        "n": parts.n[:, measure].astype(np.int64),
        "direct": given.direct,
        "direct_se": np.sqrt(given.variance),
        "method": np.where(modelled, MODEL, DIRECT).tolist(),
        "reason": np.select([modelled, given.known], ["", KNOWN], TOO_FEW if result is None else NO_COVARIATE).tolist(),
        "ci_level": np.full(size, level),
        "covariates": [
            ";".join(f"{name}={values[at]:.6g}" for name, values in covariates.items()) for at in range(size)
        ],
        "areas": np.full(size, int(observed.sum())),
        "benchmark_weight": given.weight,
    }
    zero: list[bool | None] = [None] * size
    if result is None:
        figures = dict.fromkeys(
            (
                "smoothed_se", "rmse", "ci_low", "ci_high", "gamma", "residual", "g1_share", "g2_share", "g3_share",
                "sigma2_v", "variance_factor", "benchmark_factor",
            ),
            np.full(size, np.nan),
        )  # fmt: skip
        figures["estimate"] = given.direct
    else:
        fit, share = result.prediction, result.estimate
        slope = 2.0 * np.sqrt(share * (1.0 - share))
        of_model = {"sigma2_v": fit.s[0], "variance_factor": result.delta, "benchmark_factor": result.factor}
        figures = {
            "smoothed_se": placed(np.sqrt(result.smoothed) * slope, modelled),
            "estimate": placed(share, modelled, given.direct),
            "rmse": placed(result.rmse, modelled),
            "ci_low": placed(result.low, modelled),
            "ci_high": placed(result.high, modelled),
            "gamma": placed(fit.gamma[0], observed, np.where(modelled, 0.0, np.nan)),
            "residual": placed(fit.residual[0], observed),
            "g1_share": placed((fit.g1 / fit.mse)[0], observed),
            "g2_share": placed((fit.g2 / fit.mse)[0], observed),
            "g3_share": placed((2.0 * fit.g3 / fit.mse)[0], observed),
            **{name: np.where(modelled, value, np.nan) for name, value in of_model.items()},
        }
        zero = [bool(fit.is_synthetic[0]) if marked else None for marked in modelled]
    made = pl.DataFrame({**table, **figures, "sigma2_v_zero": pl.Series(zero, dtype=pl.Boolean)})
    return made.with_columns(
        pl.col(pl.Float64).fill_nan(None),
        pl.when(pl.col("reason") != "").then("reason").alias("reason"),
        # What the standard for direct rates says of a width holds for a model's interval as well; n does not bind it
        pl.when(pl.Series(modelled))
        .then(
            pl.when(pl.col("ci_high") - pl.col("ci_low") < WIDE_WIDTH)
            .then(pl.lit("publish"))
            .otherwise(pl.lit("suppress"))
        )
        .alias("reliability"),
    )
