"""What the total becomes if its parts move so or so, and how fast they would have to move.

Belongs here: shares and rates of the parts of a whole, the rows of mart.scenario. Does not belong here: the projection
of a part (projection), the paces of mart.progress (trend).

The rate of a whole is R = sum s_d r_d, s_d the part's share of the base (of units, or of employment) and r_d its rate,
both with the weights of the whole, so that the parts add up to R exactly; units in no part are the part 'rest'. Shares
stay as they are. On the logit scale a rate of 0 or 1 among n is taken as (n r + 1/2)/(n + 1).

- ``needed``: all parts move by the same yearly step on the logit scale, the one that brings the whole to the target;
- ``own_projection``: each part follows the headline of its projection; for the rest, which has none, the same line is
  laid through its rates without their sampling errors;
- ``observed_pace``: each part goes on by its points a year since the first wave, within 0 and 1;
- ``best_pace``: all parts go on by the logit step a year, since the first wave, of the part that rose most (the rest
  does not count as one).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy import optimize, special

from pipelines.stats.arrays import FloatArray, codes_in, safe_divide
from pipelines.stats.growth import FEWEST_POINTS, Points, Scale, predict
from pipelines.stats.projection import HEADLINE_TAU, Aim
from pipelines.stats.rates import RateScores, eligible_if_take_all
from pipelines.stats.survey_wave import Base, Domain, UnitWeighting, Wave
from pipelines.stats.variance import DomainLayout

REST = "rest"
SCENARIO_SCHEMA = {
    "scenario": pl.String,
    "domain_type": pl.String,
    "domain_code": pl.String,
    "measure": pl.String,
    "unit_weighting": pl.String,
    "share": pl.Float64,
    "estimate": pl.Float64,
    "pp_per_year": pl.Float64,
    "logit_per_year": pl.Float64,
    "in_target_year": pl.Float64,
    "contribution_pp": pl.Float64,
    "target": pl.Float64,
    "target_year": pl.Int64,
}


def part_rates(
    wave: Wave, *, whole: Domain, parts: Domain, measure: str, base: Base, unit_weightings: Sequence[UnitWeighting]
) -> pl.DataFrame:
    """Shares and rates of the parts of one wave.

    Returns:
        unit_weighting, domain_code, n (rows in the base), share, estimate; sorted by code, 'rest' last where there is
        one, without parts that nobody answered for. The shares of a weighting add to 1, and share x estimate to the
        rate of the whole.
    """
    rows, divided = wave.rows(whole, [measure]), wave.rows(parts, [measure])
    named = pl.DataFrame({"design_row": rows.design_row}).join(
        pl.DataFrame({"design_row": divided.design_row, "code": divided.code}),
        on="design_row",
        how="left",
        maintain_order="left",
    )
    code = named["code"].fill_null(REST)
    known = code.unique().sort().to_list()
    codes = [one for one in known if one != REST] + [one for one in known if one == REST]
    part = codes_in(code, pl.Series(codes, dtype=pl.String))
    layout = DomainLayout.build(wave.design, np.zeros(len(part), dtype=np.int64), 1, rows=rows.design_row)
    eligible = eligible_if_take_all(wave.frame_domains(whole))
    tables = []
    for weighting in unit_weightings:
        scores = RateScores.build(layout, rows, eligible=eligible, base=base, unit_weighting=weighting)
        size, adopting, n = (
            np.bincount(part, weights=values[:, 0], minlength=len(codes)).astype(np.float64)
            for values in (scores.acting, scores.weight * scores.top, scores.used.astype(np.float64))
        )
        tables.append(
            pl.DataFrame(
                {
                    "unit_weighting": [weighting] * len(codes),
                    "domain_code": codes,
                    "n": n.astype(np.int64),
                    "share": size / size.sum(),
                    "estimate": safe_divide(adopting, size),
                }
            ).filter(pl.col("share") > 0)
        )
    return pl.concat(tables)


def scenarios(
    rates: Mapping[int, pl.DataFrame], projection: pl.DataFrame, *, domain_type: str, measure: str, aim: Aim
) -> pl.DataFrame:
    """The scenarios of the last wave.

    Args:
        rates: :func:`part_rates` of every wave of the segment, up to the one that is spoken of.
        projection: the headline of the parts, as :func:`pipelines.stats.projection.project` returns it.
        domain_type: of the parts.

    Returns:
        SCENARIO_SCHEMA: for each weighting and scenario a row a part, and one with domain_code 'all' that holds the
        whole; ``contribution_pp`` is share x (rate then - rate now) in points and adds up to the whole's. Empty from
        the target year on. A scenario that needs what a part does not have - an earlier wave, a projection - is left
        out.
    """
    wave = max(rates)
    weightings = rates[wave]["unit_weighting"].unique(maintain_order=True)
    tables = [pl.DataFrame(schema=SCENARIO_SCHEMA)]
    if wave < aim.year:
        for weighting in weightings:
            own = projection.filter(
                pl.col("domain_type") == domain_type,
                pl.col("measure") == measure,
                pl.col("unit_weighting") == weighting,
            )
            of_weighting = {year: table.filter(pl.col("unit_weighting") == weighting) for year, table in rates.items()}
            for name, then in _moved(of_weighting, dict(own.select("domain_code", "projected").iter_rows()), aim):
                tables.append(
                    _rows(of_weighting[wave], then, years=float(aim.year - wave)).with_columns(
                        pl.lit(name).alias("scenario"), pl.lit(weighting).alias("unit_weighting")
                    )
                )
    placed = [
        pl.lit(domain_type).alias("domain_type"),
        pl.lit(measure).alias("measure"),
        pl.lit(aim.value).alias("target"),
        pl.lit(aim.year, pl.Int64).alias("target_year"),
    ]
    filled = [table.with_columns(placed).select(*SCENARIO_SCHEMA) for table in tables]
    return pl.concat(filled).with_columns(pl.col(pl.Float64).fill_nan(None))


def _moved(
    rates: Mapping[int, pl.DataFrame], own: Mapping[str, float | None], aim: Aim
) -> list[tuple[str, FloatArray]]:
    """Rates of the parts in the target year ``(P,)`` by scenario."""
    wave, first = max(rates), min(rates)
    now = rates[wave]
    codes, share = now["domain_code"].to_list(), now["share"].to_numpy()
    rate, z = _level(now, codes)
    left = float(aim.year - wave)
    if np.isnan(rate).any():
        return []

    def missed(step: float) -> float:
        return float(share @ special.expit(z + step * left) - aim.value)

    step = optimize.brentq(missed, -50.0 / left, 50.0 / left, xtol=1e-14)
    found = [("needed", special.expit(z + step * left))]
    projected = np.array([_number(own.get(code)) for code in codes])
    if REST in codes:
        projected[codes.index(REST)] = _line_of_rest(rates, aim)
    found.append(("own_projection", projected))
    if first < wave:
        before, z_before = _level(rates[first], codes)
        found.append(("observed_pace", np.clip(rate + (rate - before) / (wave - first) * left, 0.0, 1.0)))
        steps = (z - z_before) / (wave - first)
        best = np.max(steps[[code != REST for code in codes]])
        found.append(("best_pace", special.expit(z + best * left)))
    return [(name, then) for name, then in found if np.isfinite(then).all()]


def _level(table: pl.DataFrame, codes: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Rates of the parts and their logits ``(P,)``; NaN for a part without a rate."""
    placed = pl.DataFrame({"domain_code": codes}).join(table, on="domain_code", how="left", maintain_order="left")
    rate, n = (placed[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("estimate", "n"))
    inside = np.where((rate <= 0.0) | (rate >= 1.0), (n * rate + 0.5) / (n + 1.0), rate)
    return rate, special.logit(inside)


def _line_of_rest(rates: Mapping[int, pl.DataFrame], aim: Aim) -> float:
    waves = sorted(rates)
    z = np.array([_level(rates[wave], [REST])[1][0] for wave in waves])
    known = np.isfinite(z)
    if known.sum() < FEWEST_POINTS or not known[-1]:
        return np.nan
    points = Points(np.array(waves, dtype=np.float64), special.expit(z)[None, :], np.zeros((1, len(waves), len(waves))))
    line = predict(points, np.array([float(aim.year)]), scale=Scale(), tau=np.array([HEADLINE_TAU]))
    return float(line.scale.inverse(line.centre)[0, 0])


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _rows(now: pl.DataFrame, then: FloatArray, *, years: float) -> pl.DataFrame:
    codes = now["domain_code"].to_list()
    share = now["share"].to_numpy()
    rate, z = _level(now, codes)
    n = now["n"].to_numpy()
    ends = np.where((then <= 0.0) | (then >= 1.0), (n * then + 0.5) / (n + 1.0), then)
    parts = pl.DataFrame(
        {
            "domain_code": codes,
            "share": share,
            "estimate": rate,
            "pp_per_year": 100.0 * (then - rate) / years,
            "logit_per_year": (special.logit(ends) - z) / years,
            "in_target_year": then,
            "contribution_pp": 100.0 * share * (then - rate),
        }
    )
    whole_now, whole_then = float(share @ rate), float(share @ then)
    whole = {
        "domain_code": "all",
        "share": 1.0,
        "estimate": whole_now,
        "pp_per_year": 100.0 * (whole_then - whole_now) / years,
        "logit_per_year": float(special.logit(whole_then) - special.logit(whole_now)) / years,
        "in_target_year": whole_then,
        "contribution_pp": float(parts["contribution_pp"].sum()),
    }
    return pl.concat([parts, pl.DataFrame([whole], schema=parts.schema)])
