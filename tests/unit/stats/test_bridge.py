"""The effect of a wording: planted, by hand, carried over, and refused without an overlap sample."""

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from pipelines.errors import AxstatError
from pipelines.stats.bridge import WORDING_SCHEMA, carry_over, wording_effects
from pipelines.stats.design import SurveyDesign


def design(n: int, *, population: float = 1000.0, weight: float | None = None) -> SurveyDesign:
    frame = pl.DataFrame({"N": np.full(n, population), "w": np.full(n, weight or population / n)})
    return SurveyDesign.from_frame(frame, weight="w", population=["N"])


def effects(old: list[float], new: list[float], domain: list[str | None] | None = None, **options) -> pl.DataFrame:
    found = wording_effects(
        design(len(old), **options),
        old=np.array(old),
        new=np.array(new),
        domain=pl.Series(domain or ["total"] * len(old), dtype=pl.String),
    )
    assert dict(found.schema) == WORDING_SCHEMA
    return found


def test_a_paired_difference_by_hand() -> None:
    """d = (1, 0, 0, 1, 0, 0, 0, 1, 0, 0): mean 0.3, variance (1 - 10/1000) s²/10 with s² = 2.1/9."""
    row = effects([1, 0, 0, 0, 1, 0, 0, 0, 0, 0][:10], [1, 1, 0, 1, 1, 0, 0, 1, 0, 0]).row(0, named=True)
    assert (row["estimate_old"], row["estimate_new"]) == pytest.approx((0.2, 0.5))
    assert row["effect_pp"] == pytest.approx(30.0)
    se = 100 * np.sqrt((1 - 10 / 1000) * (2.1 / 9) / 10)
    assert row["effect_se_pp"] == pytest.approx(se)
    half = stats.t.ppf(0.975, 9) * se
    assert (row["ci_low_pp"], row["ci_high_pp"]) == pytest.approx((30 - half, 30 + half))
    assert (row["n"], row["df"]) == (10, 9)
    assert row["logit_effect"] == pytest.approx(special.logit(0.5) - special.logit(0.2))


def test_units_that_answered_one_question_do_not_count_but_stay_in_the_design() -> None:
    row = effects([0, 0, 1, np.nan], [1, 0, 1, 1]).row(0, named=True)
    assert (row["n"], row["estimate_new"]) == (3, pytest.approx(2 / 3))


def test_domains_apart_and_a_domain_without_a_logit() -> None:
    found = effects([0, 0, 1, 0, 0, 1], [1, 0, 1, 1, 0, 1], ["a", "a", "a", "b", "b", None])
    assert found["domain_code"].to_list() == ["a", "b"]
    a, b = found.to_dicts()
    assert a["logit_effect_se"] > 0
    assert (b["estimate_old"], b["logit_effect"], b["logit_effect_se"]) == (0.0, None, None)
    assert b["effect_pp"] == pytest.approx(50.0)


@pytest.mark.slow
def test_a_planted_effect_is_found_and_its_errors_hold() -> None:
    """1,000 samples of 300 of 3,000 units; the list makes one in four of the others say yes."""
    rng = np.random.default_rng(20260404)
    old = (rng.random(3000) < 0.1).astype(float)
    new = np.maximum(old, rng.random(3000) < 0.25).astype(float)
    truth = {
        "effect_pp": 100 * (new.mean() - old.mean()),
        "logit_effect": special.logit(new.mean()) - special.logit(old.mean()),
    }
    drawn = [rng.choice(3000, 300, replace=False) for _ in range(1000)]
    found = pl.concat(effects(old[at].tolist(), new[at].tolist(), population=3000.0) for at in drawn)
    for name, value in truth.items():
        error, se = found[name] - value, found["effect_se_pp" if name == "effect_pp" else "logit_effect_se"]
        assert abs(error.mean()) < 3.5 * error.std() / np.sqrt(1000) + 0.02 * error.std(), name
        assert 0.93 < np.sqrt(se.pow(2).mean()) / error.std() < 1.07, name
    covered = pl.Series([truth["effect_pp"]] * 1000).is_between(found["ci_low_pp"], found["ci_high_pp"]).mean()
    assert 0.925 < covered < 0.97


def test_a_rate_is_carried_over_on_the_logit_scale() -> None:
    """The published wording break: 2.7 % asked yes or no, 28.0 % by a list."""
    effect = float(special.logit(0.28) - special.logit(0.027))
    found = carry_over(0.027, 0.002, logit_effect=effect, logit_effect_se=0.1)
    assert found.estimate == pytest.approx(0.28)
    spread = np.hypot(0.002 / (0.027 * 0.973), 0.1)
    assert found.se == pytest.approx(0.28 * 0.72 * spread)
    assert found.ci_low == pytest.approx(special.expit(special.logit(0.28) - 1.959964 * spread), rel=1e-6)
    # An effect known exactly adds nothing
    exact = carry_over(0.3, 0.01, logit_effect=0.0, logit_effect_se=0.0)
    assert (exact.estimate, exact.se) == pytest.approx((0.3, 0.01))


def test_what_cannot_be_bridged_is_refused() -> None:
    with pytest.raises(AxstatError, match=r"(?s)overlap_sample.*stays broken"):
        effects([np.nan, 1.0], [1.0, np.nan])
    with pytest.raises(AxstatError, match="overlap_sample"):
        effects([0.5, 1.0], [1.0, 1.0])
    with pytest.raises(AxstatError, match="rate_without_logit"):
        carry_over(0.0, 0.0, logit_effect=1.0, logit_effect_se=0.1)
