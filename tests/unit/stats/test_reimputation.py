"""Imputed values drawn anew in replicates: the variance that imputation adds, and how the draws behave."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.collapse import Coarsening
from pipelines.stats.donors import Deck, HotDeck
from pipelines.stats.imputation import Imputation, impute
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.reimputation import Redraw, candidates, draw_parts, expected_shares
from pipelines.stats.replicate_draws import TAU, permanent_signs, sampling_deviations

ONE_CLASS = HotDeck(CollapseRule(parts=(), order=(), min_respondents=1), key=("made-up", "2025"))
N_SAMPLE, N_MISSING, REPLICATES = 400, 120, 4000


def sample(missing: int = N_MISSING, seed: int = 11) -> tuple[pl.DataFrame, Imputation]:
    """A simple random sample with 30 % missing completely at random, imputed."""
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, 10.0, N_SAMPLE)
    lost = rng.permutation(N_SAMPLE) < missing
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:04d}" for number in range(N_SAMPLE)],
            "y": [None if gone else value for value, gone in zip(y.tolist(), lost, strict=True)],
            "weight": 1.0,
        }
    )
    return frame, impute(frame, variables=["y"], missing=lost[:, None], chain=[ONE_CLASS])


def generalised(frame: pl.DataFrame, f: float) -> np.ndarray:
    sign = permanent_signs(frame["unit_id"], key=("made-up", "sampling"), replicates=REPLICATES)
    spread = np.array([(1 - f) * N_SAMPLE / (N_SAMPLE - 1)])
    return 1.0 + sampling_deviations(sign, np.zeros(N_SAMPLE, dtype=np.int64), spread) / TAU


def sampled(deck: Deck, f: float) -> dict[str, np.ndarray]:
    return {"recipient_sampled": np.full(len(deck.recipient), f), "donor_sampled": np.full(len(deck.donor), f)}


def variances(frame: pl.DataFrame, made: Imputation, factor: np.ndarray, f: float) -> tuple[float, float]:
    """Of the mean, imputed values held and drawn anew."""
    values = made.values["y"].to_numpy()
    naive = (factor * values[:, None]).sum(axis=0) / factor.sum(axis=0)
    redraw = Redraw.build(made.deck, **sampled(made.deck, f), replicates=REPLICATES)
    donor = np.isin(frame["unit_id"].to_numpy(), made.deck.donor.to_numpy())
    means = redraw.means(made.deck.donor_values["y"].to_numpy(), factor[donor])
    anew = ((factor[donor] * values[donor, None]).sum(axis=0) + (factor[~donor] * means).sum(axis=0)) / factor.sum(
        axis=0
    )
    centre = values[donor].mean()
    return (
        float(TAU**2 * np.square(naive - values.mean()).mean()),
        float(TAU**2 * np.square(anew - centre).mean()),
    )


@pytest.mark.parametrize("f", [0.0, 0.5, 1.0])
def test_the_variance_is_that_of_a_hot_deck_under_random_nonresponse(f: float) -> None:
    """S² (1/r - 1/N + m/n²) against (1 - f) S²/n (Little & Rubin 2002, example 4.8; module docstring).

    With 30 % missing and f = 0 the ratio is 1/p + 1 - p = 1.73 for p = 0.7. The noise of a variance of 4,000 replicates
    is 2.2 %; 9 % are four times that.
    """
    frame, made = sample()
    naive, anew = variances(frame, made, generalised(frame, f), f)
    answered = frame["y"].drop_nulls().to_numpy()
    r, n, m = len(answered), N_SAMPLE, N_MISSING
    spread = answered.var(ddof=1)
    exact = 1 / r - f / n + m / n**2
    assert anew == pytest.approx(spread * exact, rel=0.09)
    assert naive == pytest.approx((1 - f) * made.values["y"].to_numpy().var(ddof=1) / n, rel=0.09, abs=1e-12)
    if f == 0.0:
        p = r / n
        assert anew / naive == pytest.approx(1 / p + 1 - p, rel=0.15)


def test_the_variance_holds_in_a_census_with_few_values_imputed() -> None:
    """f = 1 and 5 % missing: donors' factors have a variance above 1, from a law of two points above 0."""
    frame, made = sample(missing=20)
    answered = frame["y"].drop_nulls().to_numpy()
    redraw = Redraw.build(made.deck, **sampled(made.deck, 1.0), replicates=REPLICATES)
    assert redraw.answering.min() > 0
    assert redraw.answering.mean() == pytest.approx(1.0, abs=0.01)
    assert TAU**2 * redraw.answering.var() == pytest.approx(20.0 * 380 / 379, rel=0.03)
    _, anew = variances(frame, made, np.ones((N_SAMPLE, REPLICATES)), 1.0)
    assert anew == pytest.approx(answered.var(ddof=1) * (1 / 380 - 1 / 400 + 20 / 400**2), rel=0.12)


@pytest.mark.parametrize("divisor", [1.0, 2.25, 6.25, 6.9, 7.25, 9.0])
def test_parts_of_a_draw_add_up_and_shrink_its_noise(divisor: float) -> None:
    part = draw_parts(divisor)
    assert part.sum() == pytest.approx(1.0)
    assert np.square(part).sum() == pytest.approx(1 / divisor)
    assert (part > 0).all()


def classes() -> tuple[pl.DataFrame, Imputation]:
    rng = np.random.default_rng(8)
    group = np.array(["a", "b"] * 60)
    lost = rng.random(120) < 0.4
    answer = np.where(group == "a", rng.choice(["1", "2", "4"], 120), "5")
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:03d}" for number in range(120)],
            "group": group,
            "y": [None if gone else value for value, gone in zip(answer.tolist(), lost, strict=True)],
            "weight": rng.choice([1.0, 4.0], 120),
        }
    )
    rule = CollapseRule(parts=("group",), order=(Coarsening("group", "without group"),), min_respondents=3)
    return frame, impute(frame, variables=["y"], missing=lost[:, None], chain=[HotDeck(rule, key=("made-up",))])


def test_shares_are_those_of_the_donors_that_are_in_the_replicate() -> None:
    _, made = classes()
    code, rows = candidates(made.deck)
    assert rows["y"].to_list() == ["1", "2", "4", "5"]
    assert [rows["y"][int(k)] for k in code] == made.deck.donor_values["y"].to_list()
    redraw = Redraw.build(made.deck, **sampled(made.deck, 0.1), replicates=3000)
    factor = np.ones((len(code), 3000))
    # donors who said 2 are in none of the first replicates
    factor[code == 1, :1000] = 0.0
    shares = redraw.shares(code, 4, factor)
    assert shares.sum(axis=1) == pytest.approx(np.ones((len(made.deck.recipient), 3000)))
    assert (shares[:, 1, :1000] == 0).all()
    of_b = made.deck.recipient_class == made.deck.classes.index("b")
    assert shares[of_b, 3] == pytest.approx(1.0)
    expected = expected_shares(made.deck, code, 4)
    found = shares[:, :, 1000:].mean(axis=(0, 2), where=~of_b[:, None, None])
    assert found == pytest.approx(expected[~of_b].mean(axis=0), abs=0.01)
    # some columns of the draws are the draws of these columns
    assert (redraw.shares(code, 4, factor[:, 64:128], slice(64, 128)) == shares[:, :, 64:128]).all()


def test_draws_do_not_depend_on_the_order_of_rows() -> None:
    frame, made = classes()
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=4)
    rule = CollapseRule(parts=("group",), order=(Coarsening("group", "without group"),), min_respondents=3)
    missing = mixed.select(pl.col("y").is_null()).to_numpy()
    again = impute(mixed, variables=["y"], missing=missing, chain=[HotDeck(rule, key=("made-up",))])
    shares = []
    for one in (made, again):
        code, _ = candidates(one.deck)
        redraw = Redraw.build(one.deck, **sampled(one.deck, 0.0), replicates=20)
        shares.append(redraw.shares(code, 4, np.ones((len(code), 20))))
    assert (shares[0] == shares[1]).all()


def test_a_class_that_runs_empty_in_a_replicate_is_named() -> None:
    _, made = classes()
    code, _ = candidates(made.deck)
    redraw = Redraw.build(made.deck, **sampled(made.deck, 0.0), replicates=5)
    factor = np.ones((len(code), 5))
    factor[made.deck.donor_class == made.deck.classes.index("b"), 2] = 0.0
    with pytest.raises(AxstatError) as caught:
        redraw.shares(code, 4, factor)
    assert (caught.value.code, caught.value.where) == ("class_without_donors", "imputation class b")
    assert "1 replicate(s)" in caught.value.got
