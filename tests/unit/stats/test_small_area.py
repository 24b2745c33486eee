"""Model-based rates of small domains: benchmark, bounds, what is known, draws, and what cannot be done."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import AxstatError
from pipelines.stats.rates import adoption_rates
from pipelines.stats.small_area import (
    SMALL_AREA_SCHEMA,
    AreaCovariate,
    AreaInput,
    fit_areas,
    small_areas,
)
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

CELL = Domain("cell", columns=("group", "region"))
SIZE = AreaCovariate("mean_log_employment")
LARGE = AreaCovariate("share", column="size_class", codes=("b", "c"))
LAST = AreaCovariate("last_wave")
KEY = ("made up", "2025")


def wave(country, plan, number: int = 1, *, start: float = 0.0, **sampled) -> Wave:
    sample = country.sample(number, start=start, **sampled)
    weights = weight_sample(sample.drop("take_all"), country.frame, plan=plan).weights
    return Wave.build(country.classified(weights), country.answers(sample, number), frame=country.frame)


@pytest.fixture(scope="module")
def waves(country, plan) -> tuple[Wave, Wave]:
    return wave(country, plan), wave(country, plan, 2, start=0.03)


def areas(of: Wave, *, before: Wave | None = None, covariates=(SIZE, LARGE), **options) -> pl.DataFrame:
    return small_areas(
        of,
        before=before,
        domain=CELL,
        measures=["ai_adoption"],
        covariates=covariates,
        key=KEY,
        replicates=60,
        **options,
    )


def test_direct_rates_are_the_published_ones_and_the_domains_add_up(country, waves) -> None:
    found = areas(waves[1])
    assert dict(found.schema) == SMALL_AREA_SCHEMA
    published = adoption_rates(
        waves[1].units,
        waves[1].answers,
        frame=country.frame,
        domains=[Domain("total"), CELL],
        measures=["ai_adoption"],
        bases=["answered"],
    )
    key = ["domain_type", "domain_code", "measure", "base", "unit_weighting"]
    both = found.join(published, on=key, suffix="_published")
    assert both.height == found.height == 32
    np.testing.assert_allclose(both["direct"], both["estimate_published"], rtol=1e-12)
    np.testing.assert_allclose(both["direct_se"], both["se"], rtol=1e-12)
    assert both["n"].to_list() == both["n_published"].to_list()
    for weighting in ("unit", "employment"):
        total = published.filter(pl.col("domain_type") == "total", pl.col("unit_weighting") == weighting)["estimate"][0]
        rows = found.filter(pl.col("unit_weighting") == weighting)
        for column in ("direct", "estimate"):
            assert rows["benchmark_weight"] @ rows[column] == pytest.approx(total, rel=1e-13)


def test_a_model_draws_towards_its_regression_and_says_how_far(waves) -> None:
    found = areas(waves[1], unit_weightings=["unit"])
    assert set(found["method"]) == {"model-based"}
    assert found["areas"].unique().to_list() == [16]
    assert found["gamma"].is_between(0.0, 1.0).all()
    assert found["ci_low"].is_between(0.0, 1.0).all()
    assert (found["ci_low"] < found["estimate"]).all()
    assert (found["estimate"] < found["ci_high"]).all()
    parts = found.select("g1_share", "g2_share", "g3_share").sum_horizontal()
    np.testing.assert_allclose(parts, 1.0, rtol=1e-12)
    # Direct rates vary by the sectors and by chance, model-based ones by less
    assert found["estimate"].std() < found["direct"].std()
    assert (found["rmse"] < found["direct_se"]).mean() > 0.7
    assert found["covariates"].str.contains("mean_log_employment=").all()
    assert found["covariates"].str.contains("share size_class=b,c=").all()


def test_smoothed_errors_go_with_the_size_of_the_sample_not_with_chance(waves) -> None:
    found = areas(waves[1], unit_weightings=["unit"])
    angle = pl.col("smoothed_se") / (2 * (pl.col("estimate") * (1 - pl.col("estimate"))).sqrt())
    smoothed = found.select(angle.alias("se"), "n")
    assert np.corrcoef(np.log(smoothed["se"]), np.log(smoothed["n"]))[0, 1] < -0.9


def test_last_wave_is_a_covariate_where_there_is_one(waves) -> None:
    with_it = areas(waves[1], before=waves[0], covariates=(SIZE, LAST), unit_weightings=["unit"])
    before = areas(waves[0], covariates=(SIZE,), unit_weightings=["unit"])
    named = with_it["covariates"].str.extract("last_wave=(.*)$").cast(pl.Float64)
    np.testing.assert_allclose(named, np.arcsin(np.sqrt(before["direct"])), rtol=1e-5)
    without = areas(waves[1], covariates=(SIZE, LAST), unit_weightings=["unit"])
    assert_frame_equal(without, areas(waves[1], covariates=(SIZE,), unit_weightings=["unit"]))


def test_the_same_key_gives_the_same_draws_whatever_the_order(waves) -> None:
    first = areas(waves[1], unit_weightings=["unit"])
    turned = Wave.build(waves[1].units[::-1], waves[1].answers[::-1], frame=waves[1].frame[::-1])
    assert_frame_equal(first, areas(turned, unit_weightings=["unit"]), rel_tol=1e-9)
    other = small_areas(
        waves[1], before=None, domain=CELL, measures=["ai_adoption"], covariates=(SIZE, LARGE), key=("other", "2025"),
        replicates=60, unit_weightings=["unit"],
    )  # fmt: skip
    assert first["estimate"].equals(other["estimate"])
    assert not first["rmse"].equals(other["rmse"])


def test_a_known_domain_keeps_its_value_and_the_others_make_up_the_total(country, plan) -> None:
    """Region r1 is taken whole and answers in full."""
    frame = country.frame.with_columns((pl.col("take_all") | (pl.col("region") == "r1")).alias("take_all"))
    whole = replace(country, frame=frame)
    sample = whole.sample(2, start=0.03)
    known = pl.col("selection_stratum").str.ends_with("/r1")
    sample = sample.with_columns(
        pl.when(known).then(pl.lit("respondent")).otherwise("status").alias("status"),
    )
    answers = whole.answers(sample, 2)
    truth = frame.select("unit_id", "region", pl.col("y2").cast(pl.Float64).alias("truth"))
    of_r1 = pl.col("region") == "r1"
    answers = answers.join(truth, on="unit_id").with_columns(
        pl.when(of_r1).then("truth").otherwise("value").alias("value"),
        pl.when(of_r1).then(pl.lit("answered")).otherwise("answer_status").alias("answer_status"),
    )
    weights = weight_sample(sample.drop("take_all"), frame, plan=plan).weights
    made = Wave.build(whole.classified(weights), answers.drop("region", "truth"), frame=frame)
    found = areas(made, unit_weightings=["unit"])
    known_rows = found.filter(pl.col("domain_code").str.ends_with("*r1"))
    assert known_rows["method"].unique().to_list() == ["direct"]
    assert known_rows["reason"].unique().to_list() == ["known"]
    assert known_rows["estimate"].equals(known_rows["direct"])
    assert known_rows["rmse"].null_count() == 4
    modelled = found.filter(pl.col("method") == "model-based")
    assert modelled.height == 12
    assert modelled["areas"].unique().to_list() == [12]
    assert found["benchmark_weight"] @ found["estimate"] == pytest.approx(
        float(
            adoption_rates(
                made.units, made.answers, frame=frame, domains=[Domain("total")], measures=["ai_adoption"],
                bases=["answered"], unit_weightings=["unit"],
            )["estimate"][0]
        ),
        rel=1e-13,
    )  # fmt: skip


def given(**changed) -> AreaInput:
    """Fourteen domains of ten answers each, no covariate."""
    direct = np.array([0.2, 0.3, 0.4, 0.5, 0.6, 0.3, 0.4, 0.5, 0.2, 0.6, 0.4, 0.7, 0.5, 0.3])
    base = AreaInput(
        direct=direct,
        variance=direct * (1 - direct) / 10,
        df=np.full(14, 9.0),
        anticipated=np.full(14, 1 / 40),
        weight=np.full(14, 1 / 14),
        known=np.zeros(14, dtype=np.bool_),
        covariates=np.ones((14, 1)),
        total=float(direct.mean()),
    )
    return replace(base, **changed)


CODES = pl.Series([f"D{number:02d}" for number in range(14)])


def fitted(of: AreaInput):
    return fit_areas(of, CODES, key=KEY, level=0.95, replicates=200)


def test_the_variance_function_finds_a_common_design_effect() -> None:
    assert fitted(given()).delta == pytest.approx(1.0)
    assert fitted(given(variance=1.7 * given().variance)).delta == pytest.approx(1.7)


def test_a_domain_where_all_answered_alike_is_not_taken_at_its_word() -> None:
    direct = given().direct.copy()
    direct[3] = 1.0
    found = fitted(given(direct=direct, variance=direct * (1 - direct) / 10, total=float(direct.mean())))
    assert found.estimate[3] < 0.95
    assert found.rmse[3] > 0.01
    assert found.low[3] < 0.9


def test_a_domain_without_answers_gets_the_regression() -> None:
    direct, variance, weight = given().direct.copy(), given().variance.copy(), given().weight.copy()
    anticipated = given().anticipated.copy()
    direct[5], variance[5], anticipated[5], weight[5] = np.nan, np.nan, np.nan, 0.0
    found = fitted(
        given(
            direct=direct,
            variance=variance,
            anticipated=anticipated,
            weight=weight,
            total=float(np.nansum(direct) / 14),
        )
    )
    others = np.delete(found.estimate, 5)
    assert others.min() < found.estimate[5] < others.max()
    assert found.high[5] - found.low[5] > np.delete(found.high - found.low, 5).min()
    assert np.isnan(found.smoothed[5])


def test_equal_domains_give_zero_variance_of_effects_and_still_an_interval() -> None:
    direct = np.full(14, 0.4)
    found = fitted(given(direct=direct, variance=direct * (1 - direct) / 10, total=0.4))
    assert found.prediction.s[0] == 0
    np.testing.assert_allclose(found.estimate, 0.4, rtol=1e-12)
    assert ((found.high - found.low) > 0.05).all()


def test_too_few_domains_with_a_spread_give_no_model() -> None:
    direct = np.where(np.arange(14) < 3, given().direct, 1.0)
    assert fitted(given(direct=direct, variance=direct * (1 - direct) / 10, total=float(direct.mean()))) is None


def test_too_few_domains_stay_direct_and_say_so(waves) -> None:
    found = small_areas(
        waves[1], before=None, domain=Domain("region", columns=("region",)), measures=["ai_adoption"],
        covariates=(SIZE, LARGE), key=KEY, unit_weightings=["unit"],
    )  # fmt: skip
    assert found["method"].to_list() == ["direct"] * 4
    assert found["reason"].to_list() == ["too_few_domains"] * 4
    assert found["estimate"].equals(found["direct"])
    assert found["benchmark_factor"].null_count() == 4


def test_domains_that_leave_units_out_are_refused(waves) -> None:
    with pytest.raises(AxstatError, match="domains_do_not_add_up"):
        small_areas(
            waves[1], before=None, domain=Domain("ax", columns=("ax",)), measures=["ai_adoption"], covariates=(SIZE,),
            key=KEY,
        )  # fmt: skip


def test_a_total_that_the_modelled_domains_cannot_make_up_is_refused() -> None:
    known = np.arange(14) == 0
    with pytest.raises(AxstatError, match="benchmark_out_of_reach"):
        fitted(given(known=known, total=0.999))
