"""A made-up release to print: marts with the columns of the contracts and plausible, synthetic numbers.

Belongs here: frames as the warehouse would hand them over. Does not belong here: estimation; nothing here
is the result of a survey, and no test may take a number from here for true.
"""

import datetime
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.contracts.compiler import data_dictionary
from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.contracts.surveys import Domain, Survey
from pipelines.orchestration.plans import aim, segment
from pipelines.release.indicators import FOUND, indicator_rows
from pipelines.reporting.data import ReportData
from pipelines.stats.projection import hindcast, project, status_of
from pipelines.stats.rate_series import KEY, RateSeries
from pipelines.stats.revisions import revision_triangle
from pipelines.stats.scenario import scenarios
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.published import publishable

ROOT = Path(__file__).resolve().parents[3]
ANNUAL = ROOT / "reports" / "annual"
WAVES = range(2021, 2026)

_LEVEL = {"industry": 0.27, "public": 0.53}
_STEP = {"industry": 0.019, "public": 0.022}
_OLD_QUESTION = {"industry": 0.027, "public": 0.19}
_N = {"industry": 8600, "public": 430}
_POPULATION = {"industry": 211_615.0, "public": 1_050.0}
_STAGE_SHARES = {"none": 0.62, "planned": 0.24, "pilot": 0.14, "deployed": 0.71, "scaled": 0.29}
_ALL_MEASURES = ("total", "ax_industry", "institution_type", "public_field")
_CODE_LISTS = {
    "ax_industry": "ax_industries",
    "size_class": "size_classes",
    "region": "regions",
    "main_sector": "public_sectors",
    "field": "public_sectors",
    "institution_type": "institution_types",
}


@cache
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


def _codes(domain: Domain) -> list[tuple[str, str, str, bool, str]]:
    """Code, labels, named_in_source and source of every domain of a type."""
    if domain.code is not None:
        item = library().classifications["domain_types"].item(domain.type)
        return [(domain.code, item.label_ko, item.label_en, False, item.source)]
    found = [("", "", "", True, "")]
    for column in domain.columns:
        items = library().classifications[_CODE_LISTS[column]].items
        found = [
            (
                f"{code}*{item.code}" if code else item.code,
                f"{ko} × {item.label_ko}" if ko else item.label_ko,
                f"{en} × {item.label_en}" if en else item.label_en,
                named and item.named_in_source,
                item.source,
            )
            for code, ko, en, named, _ in found
            for item in items
        ]
    return found


def _share_of_sample(domain: Domain, code: str, rng: np.random.Generator) -> float:
    if domain.code is not None:
        return 1.0 if domain.type == "total" else 0.55
    size = rng.uniform(0.4, 1.6) / max(1, len(_codes(domain)))
    return {"10-49": 0.6, "50-249": 0.28, "250+": 0.12}.get(code, size)


def _rows(survey: Survey) -> Iterator[dict[str, object]]:
    code = survey.survey
    for domain in survey.domains:
        for domain_code, *_ in _codes(domain):
            # One generator a domain: its numbers do not hang on what else is made
            rng = np.random.default_rng(sum(map(ord, f"{code}{domain.type}{domain_code}")))
            lift = 0.0 if domain.code is not None else rng.normal(0, 0.45)
            share = _share_of_sample(domain, domain_code, rng)
            census = code == "public" and domain_code in ("P10", "P13")
            for wave in WAVES:
                drift = rng.normal(0, 0.01)
                for measure in domain.measures or survey.measures(wave):
                    if measure not in survey.measures(wave):
                        continue
                    if not domain.measures and measure == "field_adoption":
                        continue
                    # What the report does not print is left out, so that tests are quick
                    if measure != "ai_adoption" and domain.type not in _ALL_MEASURES:
                        continue
                    for weighting in survey.unit_weightings:
                        for base in survey.bases:
                            yield _row(
                                survey, domain, domain_code, wave, measure, weighting, base,
                                lift=lift + drift, share=share, census=census,
                            )  # fmt: skip


def _row(
    survey: Survey,
    domain: Domain,
    domain_code: str,
    wave: int,
    measure: str,
    weighting: str,
    base: str,
    *,
    lift: float,
    share: float,
    census: bool,
) -> dict[str, object]:
    code, version = survey.survey, survey.question_version(wave)
    level = _OLD_QUESTION[code] if version == "yn-2019" else _LEVEL[code] + _STEP[code] * (wave - 2022)
    logit = math.log(level / (1 - level)) + lift + (0.5 if weighting == "employment" else 0.0)
    adoption = 1 / (1 + math.exp(-logit))
    p = adoption
    if measure.startswith("tech_"):
        p = adoption * (0.08 + 0.1 * (sum(map(ord, measure)) % 6))
    elif measure.startswith("stage_"):
        stage = measure.removeprefix("stage_")
        p = _STAGE_SHARES[stage] * (adoption if stage in ("deployed", "scaled") else 1 - adoption)
    elif measure != "ai_adoption":
        p = adoption * 0.6
    n = round(_N[code] * share * (0.95 if base == "answered" else 1.0))
    population = _POPULATION[code] * share * (1.0 if weighting == "unit" else 60.0)
    n_effective = n / 1.4
    se = 0.0 if census else math.sqrt(p * (1 - p) / max(n_effective, 1.0))
    half = 1.96 * se / (p * (1 - p))
    reliability, reason = "publish", None
    if census:
        reason = "census_full_response"
    elif n_effective < 30:
        reliability, reason = "suppress", "n_effective_below_30"
        if 3.92 * se >= 0.3:
            reason += ";width_030_or_more"
    elif n_effective < 40:
        reliability, reason = "caution", "df_below_8"
    breaks = survey.has_earlier_segment(wave) and survey.first_wave_of_segment(wave) == wave
    return {
        "survey": code, "wave": wave, "domain_type": domain.type, "domain_code": domain_code,
        "measure": measure,
        "base": base, "unit_weighting": weighting, "definition_id": survey.definition_id(measure, wave),
        "question_version": version, "tech_list_version": survey.tech_list_version(wave),
        "comparability_segment": survey.comparability_segment(wave), "n": n, "n_missing": round(n * 0.05),
        "n_dont_know": round(n * 0.02), "population": population, "adopters": p * population,
        "adopters_se": se * population, "estimate": p, "se": se,
        "ci_low": _expit(p, -half), "ci_high": _expit(p, half), "ci_level": 0.95, "df": max(n - 40.0, 4.0),
        "deff": 1.4, "n_effective": n_effective, "cv": se / p, "reliability": reliability,
        "reliability_reason": reason, "obs_status": "b" if breaks else "A", "conf_status": "F",
        "variance_method": "taylor_residual",
    }  # fmt: skip


def _expit(p: float, shift: float) -> float:
    return 1 / (1 + math.exp(-(math.log(p / (1 - p)) + shift)))


def _progress(rates: pl.DataFrame) -> pl.DataFrame:
    """Rows as stats.trend makes them, with the same shares of covariance everywhere."""
    rows = []
    chosen = rates.filter((pl.col("measure") == "ai_adoption") & (pl.col("base") == "answered"))
    key = ("survey", "domain_type", "domain_code", "unit_weighting")
    by_key = {(*(row[name] for name in key), row["wave"]): row for row in chosen.iter_rows(named=True)}
    for row in by_key.values():
        survey, goal = library().surveys[row["survey"]], library().targets[row["survey"]]
        start = survey.first_wave_of_segment(row["wave"])
        base = by_key[(*(row[name] for name in key), start)]
        years, left = row["wave"] - start, goal.year - row["wave"]
        p, p0, pt = row["estimate"], base["estimate"], goal.value
        later = years > 0 and p0 < pt
        change_se = math.sqrt(0.6 * (row["se"] ** 2 + base["se"] ** 2)) * 100
        ratio = ((p / p0) ** (1 / years) - 1) / ((pt / p0) ** (1 / (goal.year - start)) - 1) if later else None
        status = None
        if ratio is not None:
            for bound, name in ((0.95, "on_track"), (0.6, "acceleration_needed"), (0.0, "limited")):
                if ratio >= bound:
                    status = name
                    break
            else:
                status = "moving_away"
        spread = 0.0 if ratio is None else change_se / 100 / p0 / years * 20
        rows.append(
            {
                **{name: row[name] for name in ("survey", "wave", "domain_type", "domain_code", "measure")},
                "unit_weighting": row["unit_weighting"],
                "comparability_segment": row["comparability_segment"],
                "target": pt, "target_year": goal.year,
                "target_scope": "national" if row["domain_type"] == "total" else "applied to domain",
                "baseline": p0, "baseline_wave": start, "estimate": p, "se": row["se"],
                "gap_pp": 100 * (pt - p), "gap_se_pp": 100 * row["se"],
                "share_of_distance": (p - p0) / (pt - p0) if later else None,
                "share_se": change_se / 100 / (pt - p0) if later else None,
                "observed_pp_per_year": 100 * (p - p0) / years if later else None,
                "observed_se_pp": change_se / years if later else None,
                "required_pp_per_year": 100 * (pt - p) / left, "required_se_pp": 100 * row["se"] / left,
                "required_from_baseline_pp_per_year": 100 * (pt - p0) / (goal.year - start),
                "progress_ratio": ratio,
                "progress_ratio_low": ratio - spread if ratio is not None else None,
                "progress_ratio_high": ratio + spread if ratio is not None else None,
                "pace_status": status, "projected": None, "projected_low": None, "projected_high": None,
                "tau": None, "p_target": None, "status": "insufficient",
                "status_reason": "few_points" if later else "baseline_wave;few_points",
            }
        )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def _changes(rates: pl.DataFrame) -> pl.DataFrame:
    """Changes of every wave against the one before, inside a segment, with the same share of covariance everywhere."""
    key = ["survey", "domain_type", "domain_code", "measure", "base", "unit_weighting"]
    answered = rates.filter(pl.col("base") == "answered")
    before = answered.with_columns(pl.col("wave") + 1, pl.col("wave").alias("wave_before"))
    both = answered.join(before, on=["wave", "comparability_segment", *key], suffix="_before", maintain_order="left")
    change = pl.col("estimate") - pl.col("estimate_before")
    se = (0.6 * (pl.col("se").pow(2) + pl.col("se_before").pow(2))).sqrt()
    worse = pl.when((pl.col("reliability") == "suppress") | (pl.col("reliability_before") == "suppress"))
    return both.select(
        "survey", "wave", "wave_before", "domain_type", "domain_code", "measure", "unit_weighting", "base",
        "comparability_segment", "n_before", pl.col("n").alias("n_after"), (pl.col("n") * 6 // 10).alias("n_common"),
        "estimate_before", pl.col("estimate").alias("estimate_after"), (100 * change).alias("change_pp"),
        (100 * se).alias("se_pp"), (100 * (change - 1.96 * se)).alias("ci_low_pp"),
        (100 * (change + 1.96 * se)).alias("ci_high_pp"), pl.lit(0.95).alias("ci_level"), pl.lit(100).alias("df"),
        (0.4 * pl.col("se") * pl.col("se_before")).alias("covariance"), pl.lit(False).alias("covariance_clipped"),
        pl.lit(0.5).alias("p_value"),
        pl.when(change > 1.96 * se).then(pl.lit("rose")).when(change < -1.96 * se).then(pl.lit("fell"))
        .otherwise(pl.lit("about_the_same")).alias("direction"),
        worse.then(pl.lit("suppress")).otherwise("reliability").alias("reliability"),
    )  # fmt: skip


_DIVISIONS = {"size_class": "total", "region": "total", "ax_industry": "ax_total", "public_sector": "total"}


def _decomposition(changes: pl.DataFrame) -> pl.DataFrame:
    """Equal shares that do not move: all is within, and the sums are those of the domains here."""
    rows = changes.filter(pl.col("measure") == "ai_adoption", pl.col("domain_type").is_in(list(_DIVISIONS)))
    pair = ["survey", "wave", "wave_before", "domain_type", "measure", "unit_weighting"]
    share = 1 / pl.len().over(pair).cast(pl.Float64)
    parts = rows.select(
        *pair, "base", "domain_code", "estimate_before", "estimate_after", "df", "reliability",
        pl.col("domain_type").replace_strict(_DIVISIONS).alias("whole_type"),
        share.alias("share_before"), share.alias("share_after"),
        *(
            value.alias(f"{name}{what}_pp")
            for name, factor in (("within", 1.0), ("composition", 0.0), ("contribution", 1.0))
            for what, value in (("", factor * share * pl.col("change_pp")), ("_se", share * pl.col("se_pp")))
        ),
    )  # fmt: skip
    sums = parts.group_by(*pair, "base", "whole_type", maintain_order=True).agg(
        pl.lit("all").alias("domain_code"), pl.col("df").first(), pl.lit("publish").alias("reliability"),
        pl.lit(1.0).alias("share_before"), pl.lit(1.0).alias("share_after"),
        pl.col("estimate_before", "estimate_after").mean(),
        pl.col("^.*_pp$").sum(),
    )  # fmt: skip
    return pl.concat([parts, sums.select(parts.columns)])


def _flows(changes: pl.DataFrame) -> pl.DataFrame:
    """A tenth of the change dropped besides; the rest follows."""
    rows = changes.filter(pl.col("measure") == "ai_adoption", ~pl.col("domain_type").str.contains("*", literal=True))
    p, gained = pl.col("estimate_after"), pl.col("change_pp") / 100
    dropped = pl.lit(0.02)
    shares = {
        "adopted": gained + dropped, "dropped": dropped, "stayed_adopter": p - gained - dropped,
        "stayed_non_adopter": 1 - p - dropped, "net": gained,
    }  # fmt: skip
    return pl.concat(
        rows.select(
            "survey", "wave", "wave_before", "domain_type", "domain_code", "measure", "unit_weighting",
            pl.lit(flow).alias("flow"), pl.col("n_common").alias("n"), share.alias("share"), pl.lit(0.01).alias("se"),
            (share - 0.02).alias("ci_low"), (share + 0.02).alias("ci_high"), "ci_level", "df",
            pl.lit(1000.0).alias("population"), "reliability", pl.lit(None, pl.String).alias("reliability_reason"),
        )
        for flow, share in shares.items()
    )  # fmt: skip


def _small_areas(rates: pl.DataFrame) -> pl.DataFrame:
    """Sectors drawn half way to 0.5, with intervals of two thirds of the direct ones'; those of a census known."""
    chosen = rates.filter(
        pl.col("domain_type") == "public_sector", pl.col("measure") == "ai_adoption", pl.col("base") == "answered",
        pl.col("wave") > 2021,
    )  # fmt: skip
    known = pl.col("se") == 0
    model = pl.when(known).then("estimate").otherwise(0.5 + 0.5 * (pl.col("estimate") - 0.5))
    half = (pl.col("ci_high") - pl.col("ci_low")) / 3
    none = pl.lit(None, pl.Float64)
    return chosen.select(
        "survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting", "base", "n",
        pl.col("estimate").alias("direct"), pl.col("se").alias("direct_se"), pl.col("ci_low").alias("direct_ci_low"),
        pl.col("ci_high").alias("direct_ci_high"), pl.col("reliability").alias("direct_reliability"),
        pl.when(known).then(none).otherwise("se").alias("smoothed_se"),
        pl.when(known).then(pl.lit("direct")).otherwise(pl.lit("model-based")).alias("method"),
        pl.when(known).then(pl.lit("known")).alias("reason"),
        model.alias("estimate"), pl.when(known).then(none).otherwise(half / 2).alias("rmse"),
        pl.when(known).then(none).otherwise(model - half).alias("ci_low"),
        pl.when(known).then(none).otherwise(model + half).alias("ci_high"), "ci_level",
        pl.when(known).then("reliability").when(2 * half < 0.3).then(pl.lit("publish")).otherwise(pl.lit("suppress"))
        .alias("reliability"),
        pl.when(known).then(none).otherwise(0.5).alias("gamma"), pl.lit(0.3).alias("residual"),
        pl.lit(0.9).alias("g1_share"), pl.lit(0.05).alias("g2_share"), pl.lit(0.05).alias("g3_share"),
        pl.lit("mean_log_employment=5;share institution_type=local_public_enterprise=0.2").alias("covariates"),
        pl.lit(16).alias("areas"), pl.lit(0.02).alias("sigma2_v"), pl.lit(False).alias("sigma2_v_zero"),
        pl.lit(1.0).alias("variance_factor"), pl.lit(1 / 18).alias("benchmark_weight"),
        pl.lit(1.01).alias("benchmark_factor"),
    )  # fmt: skip


def _benchmarks(rates: pl.DataFrame) -> pl.DataFrame:
    """Figures of an office two points below ours, of all and of size classes, and one of a group that we have not."""
    ours = rates.filter(
        pl.col("measure") == "ai_adoption", pl.col("base") == "answered", pl.col("unit_weighting") == "unit",
        pl.col("domain_type").is_in(["total", "size_class"]),
    )  # fmt: skip
    none = pl.lit(None, pl.Float64)
    rows = ours.select(
        "survey", "wave", pl.lit("office").alias("series"), "measure", pl.lit("KR").alias("geo"),
        pl.lit("total").alias("industry"),
        pl.when(pl.col("domain_type") == "total").then(pl.lit("total")).otherwise("domain_code").alias("size_class"),
        pl.lit("total").alias("other_group"), pl.col("wave").alias("ref_year"), pl.lit("2026").alias("vintage"),
        (pl.col("estimate") - 0.02).clip(0).fill_null(0.1).alias("value"), pl.lit("A").alias("obs_status"),
        pl.lit(500).alias("n"), pl.lit("AI를 이용하는 기업의 비율").alias("definition_ko"),
        pl.lit("Share of enterprises that use AI").alias("definition_en"), pl.lit("10 or more").alias("size_cutoff"),
        pl.lit("An office, 2026").alias("source"), "domain_type", "domain_code", "estimate", "se", "ci_low", "ci_high",
        "reliability", pl.lit(2.0).alias("difference_pp"), pl.lit("unit;question_not_stated").alias("differs_in"),
    )  # fmt: skip
    other = rows.filter(pl.col("domain_type") == "total").with_columns(
        pl.lit("legal form").alias("other_group"), pl.lit("no_domain").alias("differs_in"),
        pl.lit(None, pl.String).alias("domain_type"), pl.lit(None, pl.String).alias("domain_code"),
        pl.lit(None, pl.String).alias("reliability"),
        *(none.alias(name) for name in ("estimate", "se", "ci_low", "ci_high", "difference_pp")),
    )  # fmt: skip
    return pl.concat([rows, other])


def _projected(rates: pl.DataFrame, progress: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Progress with its projection columns, projections, hindcasts and scenarios, by the real functions."""
    made: dict[str, list[pl.DataFrame]] = {"headline": [], "projection": [], "hindcast": [], "scenario": []}
    none = pl.DataFrame(
        schema=dict.fromkeys(KEY, pl.String)
        | {"wave_before": pl.Int64, "wave_after": pl.Int64, "covariance": pl.Float64}
    )
    for survey in library().surveys.values():
        goal = aim(library().targets[survey.survey])
        for wave in WAVES:
            known = range(survey.first_wave_of_segment(wave), wave + 1)
            series = RateSeries.build(
                rates.filter(pl.col("survey") == survey.survey, pl.col("wave").is_in(list(known))),
                none,
                segments={one: segment(survey, one) for one in known},
                measures=["ai_adoption"],
            )
            projection, headline = project(series, aim=goal)
            scenario = scenarios(
                {one: _parts(rates, survey, one) for one in known},
                headline, domain_type=survey.scenario_parts, measure="ai_adoption", aim=goal,
            )  # fmt: skip
            tables = {
                "headline": headline,
                "projection": projection,
                "hindcast": hindcast(series),
                "scenario": scenario,
            }
            for name, table in tables.items():
                placed = [pl.lit(survey.survey).alias("survey"), pl.lit(wave, pl.Int64).alias("wave")]
                if name == "projection":
                    placed.append(pl.lit(survey.comparability_segment(wave)).alias("comparability_segment"))
                made[name].append(table.with_columns(placed))
    found = {name: pl.concat(tables) for name, tables in made.items()}
    names = ("projected", "projected_low", "projected_high", "tau", "p_target")
    filled = progress.drop(names).join(
        found.pop("headline").select("survey", "wave", *KEY, *names), on=["survey", "wave", *KEY], how="left",
        maintain_order="left",
    )  # fmt: skip
    chance = filled["p_target"].fill_null(float("nan"))
    status = pl.Series("status", status_of(chance.to_numpy()))
    return {"progress": filled.with_columns(status).select(progress.columns), **found}


def _parts(rates: pl.DataFrame, survey: Survey, wave: int) -> pl.DataFrame:
    """As stats.scenario.part_rates; all parts have the same share."""
    own = rates.filter(
        pl.col("survey") == survey.survey, pl.col("wave") == wave, pl.col("base") == "answered",
        pl.col("measure") == "ai_adoption", pl.col("domain_type") == survey.scenario_parts,
    )  # fmt: skip
    return own.select("unit_weighting", "domain_code", "n", "estimate").with_columns(
        (1 / pl.len().over("unit_weighting")).alias("share")
    )


def _domains() -> pl.DataFrame:
    rows = [
        {
            "survey": survey.survey, "domain_type": domain.type, "domain_code": code, "label_ko": ko,
            "label_en": en, "sort_order": number, "named_in_source": named, "source": source or "made up",
        }
        for survey in library().surveys.values()
        for domain in survey.domains
        for number, (code, ko, en, named, source) in enumerate(_codes(domain))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def _quality() -> pl.DataFrame:
    """Every indicator with a value, but for PANEL of the first wave."""
    found = pl.DataFrame(
        [
            (survey, wave, item.code, "total", "total", *(
                (None, "no_comparable_wave") if item.code == "PANEL" and wave == WAVES[0] else (0.02 + 0.05 * n, None)
            ))
            for survey in library().surveys
            for n, item in enumerate(library().classifications["quality_indicators"].items)
            for wave in WAVES
        ],
        schema=FOUND,
        orient="row",
    )  # fmt: skip
    return indicator_rows(found, library=library(), statements=SqlCatalogue(ROOT / "sql"))


def _revisions(rates: pl.DataFrame) -> pl.DataFrame:
    """The first release of each wave, in order: each prints all waves up to its own, and nothing ever changed."""
    headline = (
        (pl.col("domain_type") == "total") & (pl.col("measure") == "ai_adoption") & (pl.col("base") == "answered")
    )
    figures = rates.filter(headline, unit_weighting="unit").select(
        "survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting", "estimate", "se"
    )
    prints = [
        figures.filter(pl.col("wave") <= wave).with_columns(
            pl.lit(f"{wave}.1").alias("vintage"), pl.lit(order).alias("publication_order")
        )
        for order, wave in enumerate(WAVES, start=1)
    ]
    is_first = pl.col("previous_vintage").is_null()
    return (
        revision_triangle(pl.concat(prints), figure=["survey", "wave"])
        .with_columns(
            pl.lit(True).alias("is_headline"),
            pl.when(is_first).then(pl.lit("first")).otherwise(pl.lit("none")).alias("cause"),
            pl.when(is_first).then(pl.lit("first")).otherwise(pl.lit("unchanged")).alias("kind"),
            *(pl.lit(None, pl.String).alias(name) for name in ("reason_ko", "reason_en", "declared_by")),
        )
        .select(library().marts["mart.revision"].column_names)
    )


def _weights() -> pl.DataFrame:
    rows = [
        {"survey": survey, "wave": wave, "diagnostic": item.code, "step": step, "value": 1.5 + number}
        for survey in library().surveys
        for wave in WAVES
        for step in ("base", "eligibility", "nonresponse", "calibration")
        for number, item in enumerate(library().classifications["weight_diagnostics"].items)
    ]
    return pl.DataFrame(rows)


def _deliveries() -> pl.DataFrame:
    rows = []
    for survey in library().surveys.values():
        contracts = survey.contracts
        for wave in WAVES:
            for contract in (contracts.response, contracts.sample, contracts.frame):
                rows.append(
                    {
                        "survey": survey.survey, "wave": wave, "contract": contract,
                        "delivery": f"{survey.survey}-{wave}-01", "sequence": 1,
                        "file_name": f"{contract}_{wave}.csv", "file_sha256": f"{wave:04d}" * 16,
                        "rows_in": 12_500,
                        "question_version": survey.question_version(wave),
                        "tech_list_version": survey.tech_list_version(wave),
                        "collection_start": datetime.date(wave, 8, 1),
                        "collection_end": datetime.date(wave, 10, 15),
                        "synthetic": True, "status": "current", "reason": None,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


@cache
def _marts() -> dict[str, pl.DataFrame]:
    rows = [row for survey in library().surveys.values() for row in _rows(survey)]
    rates = pl.DataFrame(rows, infer_schema_length=None)
    changes = _changes(rates)
    measures = pl.DataFrame([measure.model_dump() for measure in library().measures.values()])
    return {
        "adoption_rate": rates,
        **_projected(rates, _progress(rates)),
        "domain": _domains(),
        "measure": measures,
        "quality_indicator": _quality(),
        "revision": _revisions(rates),
        "weight_diagnostic": _weights(),
        "change": changes,
        "decomposition": _decomposition(changes),
        "flow": _flows(changes),
        "small_area": _small_areas(rates),
        "benchmark": _benchmarks(rates),
    }


def built_marts(wave: int) -> dict[str, pl.DataFrame]:
    """Marts as the runs of all waves up to `wave` leave them, in the form in which they are published.

    Indicators that are made at a release are not there yet, nor are revisions.
    """
    marts = {
        name: publishable(
            frame.filter(pl.col("wave") <= wave) if "wave" in frame.columns else frame, library().marts[f"mart.{name}"]
        )
        for name, frame in made_up_report(wave=wave).marts.items()
    }
    items = library().classifications["quality_indicators"].items
    in_run = pl.col("indicator").is_in([item.code for item in items if item.properties["made"] == "run"])
    return {
        **marts,
        "quality_indicator": marts["quality_indicator"].filter(in_run),
        "revision": marts["revision"].clear(),
        "dictionary": publishable(data_dictionary(library()), library().marts["mart.dictionary"]),
    }


def published_marts() -> dict[str, pl.DataFrame]:
    """The marts as they are published: nothing is blanked."""
    return dict(_marts())


def made_up_report(*, wave: int = 2025, synthetic: bool = True, **replaced: pl.DataFrame) -> ReportData:
    """A release to print; keyword arguments replace marts."""
    up_to_wave = pl.col("vintage") <= f"{wave}.1"
    marts = {**_marts(), "revision": _marts()["revision"].filter(up_to_wave), **replaced}
    deliveries = _deliveries().with_columns(pl.lit(synthetic).alias("synthetic"))
    balance = deliveries.group_by("survey", "wave", "contract", maintain_order=True).agg(
        pl.col("rows_in").sum(),
        pl.lit(12_480).alias("core"),
        pl.lit(20).alias("quarantined"),
        pl.lit(0).alias("rejected"),
        pl.lit(0).alias("superseded"),
    )
    return ReportData(
        wave=wave,
        release=f"{wave}.1",
        synthetic=synthetic,
        publication_date=library().calendar.publication_date(wave),
        marts=marts,
        deliveries=deliveries,
        row_balance=balance,
        surveys=library().surveys,
        question_versions=library().question_versions,
        targets=library().targets,
        classifications=library().classifications,
        versions={"git revision": "0" * 40, **library().versions},
        collection={survey: (datetime.date(wave, 8, 1), datetime.date(wave, 10, 15)) for survey in library().surveys},
        sibling={"ko": "report.ko.html", "en": "report.en.html"},
        files={"axstat.xlsx": {"ko": "통계표 전체", "en": "All tables as a workbook"}},
    )
