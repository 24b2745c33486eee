"""Scenarios: parts that add up, paces by hand, and what is left out."""

import numpy as np
import polars as pl
import pytest
from scipy import special

from pipelines.stats.projection import Aim
from pipelines.stats.rates import adoption_rates
from pipelines.stats.scenario import SCENARIO_SCHEMA, part_rates, scenarios
from pipelines.stats.survey_wave import Domain, Wave

AIM = Aim(value=0.70, year=2030)
SHARES = {"A": 0.5, "B": 0.3, "rest": 0.2}


def rates(values: dict[str, float], *, n: int = 400, weighting: str = "unit") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "unit_weighting": [weighting] * len(values),
            "domain_code": list(values),
            "n": [n] * len(values),
            "share": [SHARES[code] for code in values],
            "estimate": list(values.values()),
        }
    )


def projection(values: dict[str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "domain_type": ["ax_industry"] * len(values),
            "domain_code": list(values),
            "measure": ["ai_adoption"] * len(values),
            "unit_weighting": ["unit"] * len(values),
            "projected": list(values.values()),
        },
        schema_overrides={"projected": pl.Float64},
    )


def made(waves: dict[int, pl.DataFrame], own: dict[str, float | None] | None = None, aim: Aim = AIM) -> pl.DataFrame:
    table = scenarios(
        waves, projection(own or {"A": None, "B": None}), domain_type="ax_industry", measure="ai_adoption", aim=aim
    )
    assert table.schema == pl.Schema(SCENARIO_SCHEMA)
    return table


THREE = {
    2023: rates({"A": 0.30, "B": 0.50, "rest": 0.10}),
    2024: rates({"A": 0.33, "B": 0.58, "rest": 0.12}),
    2025: rates({"A": 0.36, "B": 0.62, "rest": 0.13}),
}


def of(table: pl.DataFrame, scenario: str, code: str) -> dict[str, object]:
    return table.filter(scenario=scenario, domain_code=code).row(0, named=True)


def test_needed_brings_the_whole_to_the_target_by_one_step() -> None:
    table = made(THREE)
    whole = of(table, "needed", "all")
    assert whole["in_target_year"] == pytest.approx(0.70, abs=1e-12)
    steps = [of(table, "needed", code)["logit_per_year"] for code in SHARES]
    assert steps == pytest.approx([steps[0]] * 3)
    for code, now in {"A": 0.36, "B": 0.62, "rest": 0.13}.items():
        part = of(table, "needed", code)
        then = special.expit(special.logit(now) + 5 * steps[0])
        assert part["in_target_year"] == pytest.approx(then)
        assert part["pp_per_year"] == pytest.approx(100 * (then - now) / 5)


def test_observed_and_best_pace_by_hand() -> None:
    """B rose most on the logit scale: logit .62 - logit .50 over two years, against .36 from .30."""
    table = made(THREE)
    assert of(table, "observed_pace", "A")["in_target_year"] == pytest.approx(0.36 + 5 * 0.03)
    assert of(table, "observed_pace", "B")["pp_per_year"] == pytest.approx(6.0)
    assert of(table, "observed_pace", "rest")["in_target_year"] == pytest.approx(0.13 + 5 * 0.015)
    best = (special.logit(0.62) - special.logit(0.50)) / 2
    for code, now in {"A": 0.36, "B": 0.62, "rest": 0.13}.items():
        assert of(table, "best_pace", code)["logit_per_year"] == pytest.approx(best)
        assert of(table, "best_pace", code)["in_target_year"] == pytest.approx(
            special.expit(special.logit(now) + 5 * best)
        )


def test_own_projection_takes_the_parts_as_projected_and_a_line_for_the_rest() -> None:
    table = made(THREE, {"A": 0.5, "B": 0.8})
    assert of(table, "own_projection", "A")["in_target_year"] == 0.5
    assert of(table, "own_projection", "B")["in_target_year"] == 0.8
    line = np.polyfit([0, 1, 2], special.logit(np.array([0.10, 0.12, 0.13])), 1)
    rest = of(table, "own_projection", "rest")["in_target_year"]
    assert rest == pytest.approx(special.expit(np.polyval(line, 7)))
    assert of(table, "own_projection", "all")["in_target_year"] == pytest.approx(0.5 * 0.5 + 0.3 * 0.8 + 0.2 * rest)


def test_parts_add_up() -> None:
    table = made(THREE, {"A": 0.5, "B": 0.8})
    assert set(table["scenario"]) == {"needed", "own_projection", "observed_pace", "best_pace"}
    parts = table.filter(pl.col("domain_code") != "all").group_by("scenario").agg(
        (pl.col("share") * pl.col("estimate")).sum().alias("now"),
        (pl.col("share") * pl.col("in_target_year")).sum().alias("then"),
        pl.col("contribution_pp").sum(),
    )  # fmt: skip
    both = parts.join(table.filter(pl.col("domain_code") == "all"), on="scenario", suffix="_all")
    for row in both.iter_rows(named=True):
        assert row["now"] == pytest.approx(row["estimate"], abs=1e-14)
        assert row["then"] == pytest.approx(row["in_target_year"], abs=1e-14)
        assert row["contribution_pp"] == pytest.approx(100 * (row["then"] - row["now"]), abs=1e-12)
        assert row["contribution_pp"] == pytest.approx(row["contribution_pp_all"], abs=1e-12)


def test_what_cannot_be_had_is_left_out() -> None:
    assert set(made({2025: THREE[2025]})["scenario"]) == {"needed"}
    assert set(made(THREE, {"A": 0.5, "B": None})["scenario"]) == {"needed", "observed_pace", "best_pace"}
    new_part = THREE | {2023: THREE[2023].filter(pl.col("domain_code") != "B")}
    assert set(made(new_part, {"A": 0.5, "B": 0.8})["scenario"]) == {"needed", "own_projection"}
    assert made(THREE, aim=Aim(value=0.7, year=2025)).is_empty()


def test_rates_at_their_edges() -> None:
    """A part at 0 moves on the logit scale from (0 + 1/2)/(400 + 1); one that would pass 1 stops there."""
    waves = {
        2023: rates({"A": 0.05, "B": 0.70, "rest": 0.1}),
        2025: rates({"A": 0.0, "B": 0.95, "rest": 0.1}),
    }
    table = made(waves)
    assert of(table, "observed_pace", "A")["in_target_year"] == 0.0
    assert of(table, "observed_pace", "B")["in_target_year"] == 1.0
    part = of(table, "needed", "A")
    step = part["logit_per_year"]
    assert part["in_target_year"] == pytest.approx(special.expit(special.logit(0.5 / 401) + 5 * step))
    assert part["estimate"] == 0.0
    assert np.isfinite(table["logit_per_year"].to_numpy()).all()


def a_wave() -> Wave:
    rng = np.random.default_rng(11)
    number = 60
    stratum = [f"s{one % 3}" for one in range(number)]
    units = pl.DataFrame(
        {
            "unit_id": [f"{one:03d}" for one in range(number)],
            "status": ["respondent"] * number,
            "selection_stratum": stratum,
            "take_all": [False] * number,
            "variance_stratum": stratum,
            "stratum_n": [20] * number,
            "stratum_population": [{"s0": 40, "s1": 100, "s2": 300}[one] for one in stratum],
            "weight": [{"s0": 2.0, "s1": 5.0, "s2": 15.0}[one] for one in stratum],
            "post_stratum": stratum,
            "employment": rng.integers(10, 900, number).tolist(),
            "ax_industry": [["AX1", "AX2", None][int(one)] for one in rng.integers(0, 3, number)],
        }
    )
    value = [None if one < 0.1 else float(one < 0.5) for one in rng.random(number)]
    answers = pl.DataFrame(
        {
            "unit_id": units["unit_id"],
            "field": [""] * number,
            "measure": ["ai_adoption"] * number,
            "value": pl.Series(value, dtype=pl.Float64),
            "answer_status": ["dont_know" if one is None else "answered" for one in value],
        }
    )
    return Wave.build(units, answers, frame=units)


def test_parts_of_a_wave_add_up_to_its_published_rate() -> None:
    """Don't-knows fall differently into the parts, and units in no part are the rest: still exact."""
    wave = a_wave()
    table = part_rates(
        wave,
        whole=Domain("total"),
        parts=Domain("ax_industry", ("ax_industry",)),
        measure="ai_adoption",
        base="answered",
        unit_weightings=["unit", "employment"],
    )
    assert table.filter(unit_weighting="unit")["domain_code"].to_list() == ["AX1", "AX2", "rest"]
    published = adoption_rates(
        wave.units, wave.answers, frame=wave.frame,
        domains=[Domain("total"), Domain("ax_industry", ("ax_industry",))], measures=["ai_adoption"],
    ).filter(base="answered")  # fmt: skip
    for weighting in ("unit", "employment"):
        own = table.filter(unit_weighting=weighting)
        assert own["share"].sum() == pytest.approx(1.0, abs=1e-14)
        total = published.filter(domain_type="total", unit_weighting=weighting)["estimate"].item()
        assert (own["share"] * own["estimate"]).sum() == pytest.approx(total, abs=1e-14)
        part = published.filter(domain_code="AX1", unit_weighting=weighting)
        assert own.filter(domain_code="AX1")["estimate"].item() == pytest.approx(part["estimate"].item(), abs=1e-14)
        assert own.filter(domain_code="AX1")["n"].item() == part["n"].item()
