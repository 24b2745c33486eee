"""How far a rate has come towards its target, and how fast it moves.

Belongs here: the rows of mart.progress. Does not belong here: the estimates and their covariance (rates,
change), the projection itself (projection), the targets themselves (contracts), words for the reader (reporting).

Method: method.md 6. The progress ratio R = a/b is a ratio of two compound growth rates,
a = (p_t/p_0)^(1/(t - t_0)) - 1 observed and b = (p_T/p_0)^(1/(T - t_0)) - 1 needed. Its interval is of
Fieller's
type: the values r for which a - r b is within its t quantile of 0, with the variances and covariance of
a and b linearised in (p_t, p_0). Where b is not clearly above 0 that set is unbounded and no interval is
given.

Codes of ``status_reason``, joined by ';' in this order:
``no_estimate``, ``baseline_wave`` (t = t_0), ``no_baseline``, ``baseline_at_or_above_target``,
``baseline_zero``: share, observed pace, ratio and pace status are NULL; ``ratio_without_interval``,
``estimate_zero``: the ratio has no interval; ``target_year_reached``: nothing is required "from now" and nothing is
projected; ``few_points`` (fewer than three comparable waves with an estimate), ``projection_without_solution``: the
projection columns are NULL. Then why the status is what it is: ``interval_above_target``, ``interval_holds_target``,
``interval_below_target`` (the latter two from the target year on), ``probability_high``, ``probability_middle``,
``probability_low``; ``depends_on_assumption``: another curve or process variance would give another status.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.change import Segment, require_comparable
from pipelines.stats.growth import FEWEST_POINTS
from pipelines.stats.interval_formulas import t_quantile
from pipelines.stats.projection import status_of
from pipelines.stats.rate_series import KEY

# mart.progress without survey and wave.
PROGRESS_SCHEMA = {
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "comparability_segment": pl.String,
    "target": pl.Float64,
    "target_year": pl.Int64,
    "target_scope": pl.String,
    "baseline": pl.Float64,
    "baseline_wave": pl.Int64,
    "estimate": pl.Float64,
    "se": pl.Float64,
    "gap_pp": pl.Float64,
    "gap_se_pp": pl.Float64,
    "share_of_distance": pl.Float64,
    "share_se": pl.Float64,
    "observed_pp_per_year": pl.Float64,
    "observed_se_pp": pl.Float64,
    "required_pp_per_year": pl.Float64,
    "required_se_pp": pl.Float64,
    "required_from_baseline_pp_per_year": pl.Float64,
    "progress_ratio": pl.Float64,
    "progress_ratio_low": pl.Float64,
    "progress_ratio_high": pl.Float64,
    "pace_status": pl.String,
    "projected": pl.Float64,
    "projected_low": pl.Float64,
    "projected_high": pl.Float64,
    "tau": pl.Float64,
    "p_target": pl.Float64,
    "status": pl.String,
    "status_reason": pl.String,
}

# Columns of the projection that are taken as they are
PROJECTED = ("projected", "projected_low", "projected_high", "tau", "p_target")
# Columns of adoption_change that are empty at the baseline wave.
FROM_CHANGE = ("variance_before", "covariance", "df_before")

# Thresholds of the progress ratio (Eurostat / Open SDG), highest first.
PACE = ((0.95, "on_track"), (0.60, "acceleration_needed"), (0.0, "limited"))
MOVING_AWAY = "moving_away"


@dataclass(frozen=True)
class Target:
    """A national target: the share ``value`` in ``year``; domains of other types are shown against it."""

    value: float
    year: int
    national_domain_types: tuple[str, ...] = ("total",)


def progress(
    rates: pl.DataFrame,
    change: pl.DataFrame | None,
    projection: pl.DataFrame,
    *,
    wave: int,
    baseline_wave: int,
    segment: Segment,
    baseline_segment: Segment,
    target: Target,
    measures: Sequence[str],
    level: float = 0.95,
) -> pl.DataFrame:
    """Progress rows of one wave.

    Args:
        rates: adoption_rates of the wave (rows of base 'answered' are used).
        change: KEY, estimate_before, variance_before, df_before and covariance of adoption_change from the baseline
            wave to this one, base 'answered'; None where wave = baseline_wave.
        projection: the headline of every series, as :func:`pipelines.stats.projection.project` returns it.
        measures: the measures the target is about.
        level: of the interval of the progress ratio; t with the smaller df of the two waves.

    Returns:
        PROGRESS_SCHEMA in the order of ``rates``. ``status`` is 'reached' where the interval of the estimate
        lies above the target, else by P(target): 'likely', 'uncertain', 'unlikely', 'insufficient'; from the target
        year on 'uncertain' where the interval holds the target, 'unlikely' where it lies below. ``status_reason``:
        codes above.
        ``target_scope``: 'national' or 'applied to domain'.

    Raises:
        ComparabilityError: baseline and wave are of different segments.
        AxstatError: change missing although the waves differ, or the wave before its baseline.
    """
    require_comparable(baseline_segment, segment, measures=measures)
    if wave < baseline_wave or target.year <= baseline_wave or (change is None) != (wave == baseline_wave):
        raise AxstatError(
            "progress_waves",
            where=f"progress of wave {wave} from {baseline_wave} towards {target.year}",
            expected="a baseline up to the wave, before the target year, and the change between the two",
            got="no change given" if change is None else "a change from a wave to itself or backwards",
            hint="take the first wave of the segment as baseline and adoption_change for every later wave",
        )
    points = rates.filter(pl.col("measure").is_in(list(measures)) & (pl.col("base") == "answered"))
    if change is None:
        joined = points.with_columns(
            pl.col("estimate").alias("baseline"),
            *[pl.lit(None, pl.Float64).alias(name) for name in FROM_CHANGE],
        )
    else:
        joined = points.join(
            change.select(
                *KEY,
                pl.col("estimate_before").alias("baseline"),
                "variance_before",
                "covariance",
                pl.col("df_before").cast(pl.Float64),
            ),
            on=list(KEY),
            how="left",
            maintain_order="left",
        )
    joined = joined.join(
        projection.select(*KEY, *PROJECTED, "points", "depends_on_assumption"),
        on=list(KEY),
        how="left",
        maintain_order="left",
    )
    p_now, se = _array(joined, "estimate"), _array(joined, "se")
    p_start = _array(joined, "baseline")
    v_now, v_start, cov = np.square(se), _array(joined, "variance_before"), _array(joined, "covariance")
    years, horizon = float(wave - baseline_wave), float(target.year - baseline_wave)
    left = float(target.year - wave)
    goal = target.value

    first = np.full(len(p_now), wave == baseline_wave)
    no_estimate = np.isnan(p_now)
    no_baseline = np.isnan(p_start) & ~first
    with np.errstate(invalid="ignore"):
        above, zero = p_start >= goal, p_start == 0
        paced = ~(first | no_estimate | no_baseline | above | zero)
    start = np.where(paced, p_start, np.nan)
    now = np.where(paced, p_now, np.nan)

    distance = goal - start
    v_change = np.maximum(v_now + v_start - 2.0 * cov, 0.0)
    share = (now - start) / distance
    # d share/d p_t = 1/(p_T - p_0), d share/d p_0 = (p_t - p_T)/(p_T - p_0)^2.
    slope = (now - goal) / np.square(distance)
    v_share = v_now / np.square(distance) + np.square(slope) * v_start + 2.0 * slope / distance * cov
    span = years if years > 0 else np.nan
    ratio = _growth(now, start, span) / _growth(np.full_like(start, goal), start, horizon)
    low, high = _fieller(
        now, start, goal, v_now, v_start, cov, years=span, horizon=horizon,
        quantile=t_quantile(level, np.fmin(_array(joined, "df"), _array(joined, "df_before"))),
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        reached = _array(joined, "ci_low") > goal
        below = _array(joined, "ci_high") < goal
        estimate_zero = paced & (now == 0)
    p_target = _array(joined, "p_target")
    over = np.full(len(p_now), left <= 0)
    few = np.nan_to_num(_array(joined, "points")) < FEWEST_POINTS
    judged = np.where(over & ~no_estimate, np.where(below, "unlikely", "uncertain"), status_of(p_target))
    status = np.where(reached, "reached", judged)
    by_projection = ~reached & ~over
    from_now = 100.0 * (goal - p_now) / left if left > 0 else np.full_like(p_now, np.nan)
    from_now_se = 100.0 * se / left if left > 0 else np.full_like(p_now, np.nan)
    reason = _join(
        len(p_now),
        [
            ("no_estimate", no_estimate),
            ("baseline_wave", first),
            ("no_baseline", no_baseline),
            ("baseline_at_or_above_target", above),
            ("baseline_zero", zero),
            ("ratio_without_interval", paced & ~estimate_zero & np.isnan(low)),
            ("estimate_zero", estimate_zero),
            ("target_year_reached", over),
            ("few_points", ~over & few),
            ("projection_without_solution", ~over & ~few & ~no_estimate & np.isnan(p_target)),
            ("interval_above_target", reached),
            ("interval_holds_target", over & ~reached & ~below & ~no_estimate),
            ("interval_below_target", over & below),
            ("probability_high", by_projection & (status == "likely")),
            ("probability_middle", by_projection & (status == "uncertain")),
            ("probability_low", by_projection & (status == "unlikely")),
            ("depends_on_assumption", by_projection & joined["depends_on_assumption"].fill_null(False).to_numpy()),
        ],
    )
    scope = pl.col("domain_type").is_in(list(target.national_domain_types))
    table = joined.with_columns(
        pl.lit(segment.code).alias("comparability_segment"),
        pl.lit(goal).alias("target"),
        pl.lit(target.year, pl.Int64).alias("target_year"),
        pl.when(scope).then(pl.lit("national")).otherwise(pl.lit("applied to domain")).alias("target_scope"),
        pl.lit(baseline_wave, pl.Int64).alias("baseline_wave"),
        pl.Series("gap_pp", 100.0 * (goal - p_now)),
        pl.Series("gap_se_pp", 100.0 * se),
        pl.Series("share_of_distance", share),
        pl.Series("share_se", np.sqrt(np.maximum(v_share, 0.0))),
        pl.Series("observed_pp_per_year", 100.0 * (now - start) / span),
        pl.Series("observed_se_pp", np.where(paced, 100.0 * np.sqrt(v_change) / span, np.nan)),
        pl.Series("required_pp_per_year", from_now),
        pl.Series("required_se_pp", from_now_se),
        pl.Series("required_from_baseline_pp_per_year", 100.0 * (goal - p_start) / horizon),
        pl.Series("progress_ratio", ratio),
        pl.Series("progress_ratio_low", low),
        pl.Series("progress_ratio_high", high),
        pl.Series("pace_status", _pace(ratio), dtype=pl.String),
        pl.Series("status", status.tolist(), dtype=pl.String),
        pl.Series("status_reason", reason, dtype=pl.String),
    )
    return table.select(pl.col(name).cast(kind) for name, kind in PROGRESS_SCHEMA.items()).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def _array(frame: pl.DataFrame, column: str) -> FloatArray:
    return frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _growth(later: FloatArray, earlier: FloatArray, years: float) -> FloatArray:
    """Compound annual growth rate."""
    return np.power(later / earlier, 1.0 / years) - 1.0


def _fieller(
    now: FloatArray,
    start: FloatArray,
    goal: float,
    v_now: FloatArray,
    v_start: FloatArray,
    cov: FloatArray,
    *,
    years: float,
    horizon: float,
    quantile: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Limits of the progress ratio; NaN where the set is unbounded or p_t is 0 (no linearisation there)."""
    usable = np.where(now > 0, now, np.nan)
    observed = _growth(usable, start, years)
    needed = _growth(np.full_like(start, goal), start, horizon)
    # a = (p_t/p_0)^(1/k) - 1: da/dp_t = (a + 1)/(k p_t), da/dp_0 = -(a + 1)/(k p_0); b likewise in p_0 alone.
    a_now, a_start = (observed + 1.0) / (years * usable), -(observed + 1.0) / (years * start)
    b_start = -(needed + 1.0) / (horizon * start)
    v_a = np.square(a_now) * v_now + np.square(a_start) * v_start + 2.0 * a_now * a_start * cov
    v_b = np.square(b_start) * v_start
    c_ab = b_start * (a_now * cov + a_start * v_start)
    q2 = np.where((v_a == 0) & (v_b == 0), 0.0, np.square(quantile))
    leading = np.square(needed) - q2 * v_b
    middle = observed * needed - q2 * c_ab
    last = np.square(observed) - q2 * v_a
    bounded = leading > 0
    root = np.sqrt(np.maximum(np.square(middle) - leading * last, 0.0))
    safe = np.where(bounded, leading, np.nan)
    return (middle - root) / safe, (middle + root) / safe


def _pace(ratio: FloatArray) -> list[str | None]:
    named: list[str | None] = []
    for value in ratio.tolist():
        if np.isnan(value):
            named.append(None)
        else:
            named.append(next((name for bound, name in PACE if value >= bound), MOVING_AWAY))
    return named


def _join(rows: int, marks: Sequence[tuple[str, BoolArray]]) -> list[str | None]:
    reason: npt.NDArray[np.object_] = np.full(rows, "", dtype=object)
    for code, marked in marks:
        reason[marked] = [f"{text};{code}" if text else code for text in reason[marked]]
    return [text or None for text in reason]
