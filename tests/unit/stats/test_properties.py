"""What holds of every design, whatever its numbers: order, scale, unions, census, contrasts, jackknife."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stats.calibration import calibrate, post_stratify
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.linearization import Linearized, evaluate, linearized_mean, linearized_ratio, linearized_total
from pipelines.stats.replication import balanced, jackknife, replicate_means, replicate_totals
from pipelines.stats.terms import terms_matrix
from pipelines.stats.variance import covariance, degrees_of_freedom, variance

SEEDS = st.integers(0, 10**6)
RULES = st.sampled_from(["adjust", "average", "certainty", "remove"])


def survey(seed: int, *, stages: int = 2, lonely: bool = True, pairs: bool = False) -> pl.DataFrame:
    """Strata of one to five PSUs, PSUs of several units, populations above or equal to what was drawn."""
    rng = np.random.default_rng(seed)
    rows = []
    for h in range(int(rng.integers(2, 5))):
        n1 = 2 if pairs else int(rng.integers(1 if lonely and h == 0 else 2, 6))
        larger = n1 + int(rng.integers(0, 9))
        for j in range(n1):
            n2 = int(rng.integers(1 if lonely else 2, 4)) if stages > 1 else 1
            there = n2 + int(rng.integers(0, 5))
            for k in range(n2):
                for _ in range(int(rng.integers(1, 3))):
                    rows.append((f"h{h}", f"h{h}-{j}", k, larger, there, rng.uniform(0.5, 9)))
    frame = pl.DataFrame(rows, schema=["h", "psu", "ssu", "N", "M", "w"], orient="row")
    n = frame.height
    return frame.with_columns(
        pl.Series("d", rng.integers(0, 3, n)),
        pl.Series("g", rng.permutation(np.resize(["p", "q"], n))),
        pl.Series("k", rng.permutation(np.resize(["s", "t", "t"], n))),
        pl.Series("y", np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 2, n).astype(float))),
        pl.Series("x", rng.uniform(0.1, 5, n)),
    )


def design_of(
    frame: pl.DataFrame, rule: LonelyPsu = "adjust", *, stages: int = 2, in_domain: bool = False
) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame,
        weight="w",
        strata="h",
        stages=["psu", "ssu"][:stages],
        population=["N", "M"][:stages],
        lonely_psu=rule,
        lonely_psu_in_domain=in_domain,
    )


def column(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy()[:, None]


def rounding(*matrices: np.ndarray) -> float:
    """What a covariance of 0 may come out as: 1e-12 of the largest variance."""
    return 1e-12 * max(float(np.nanmax(np.abs(each), initial=0.0)) for each in matrices)


def statistics(frame: pl.DataFrame, design: SurveyDesign) -> list[Linearized]:
    inside = frame["d"].to_numpy()[:, None] == np.arange(3)
    y, x = np.repeat(column(frame, "y"), 3, axis=1), np.repeat(column(frame, "x"), 3, axis=1)
    return [
        linearized_mean(design, y, inside=inside),
        linearized_total(design, y, inside=inside),
        linearized_ratio(design, y, x, inside=inside),
    ]


@given(seed=SEEDS, rule=RULES, in_domain=st.booleans())
@settings(max_examples=60, deadline=None)
def test_order_of_rows_does_not_matter(seed: int, rule: LonelyPsu, in_domain: bool) -> None:
    frame = survey(seed)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    designs = [design_of(each, rule, in_domain=in_domain) for each in (frame, mixed)]
    for one, two in zip(statistics(frame, designs[0]), statistics(mixed, designs[1]), strict=True):
        left, right = evaluate(designs[0], one), evaluate(designs[1], two)
        for name in ("estimate", "covariance", "n", "df", "sum_weights", "deff", "deff_replace"):
            ours, theirs = getattr(left, name), getattr(right, name)
            assert ours == pytest.approx(theirs, rel=1e-9, abs=rounding(theirs), nan_ok=True), name


@given(seed=SEEDS, rule=RULES, factor=st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_scale_of_weights(seed: int, rule: LonelyPsu, factor: float) -> None:
    """Means and ratios do not know it; totals and their standard errors grow with it."""
    frame = survey(seed)
    scaled = frame.with_columns(pl.col("w") * factor)
    designs = [design_of(each, rule) for each in (frame, scaled)]
    pairs = zip(statistics(frame, designs[0]), statistics(scaled, designs[1]), (1.0, factor, 1.0), strict=True)
    for one, two, times in pairs:
        left, right = evaluate(designs[0], one), evaluate(designs[1], two)
        assert right.estimate == pytest.approx(times * left.estimate, rel=1e-10, nan_ok=True)
        assert right.covariance == pytest.approx(
            times**2 * left.covariance, rel=1e-8, abs=rounding(right.covariance), nan_ok=True
        )


@given(seed=SEEDS, rule=st.sampled_from(["adjust", "certainty", "remove"]))
@settings(max_examples=60, deadline=None)
def test_totals_are_linear_in_domains_and_measures(seed: int, rule: LonelyPsu) -> None:
    """Total and variance of the union are those of the sum over the domains; so are those of 2 x - 3 y."""
    frame = survey(seed).with_columns(pl.col("y").fill_nan(0.0))
    design = design_of(frame, rule)
    inside = frame["d"].to_numpy()[:, None] == np.arange(3)
    parts = linearized_total(design, np.repeat(column(frame, "x"), 3, axis=1), inside=inside)
    whole = evaluate(design, linearized_total(design, column(frame, "x")))
    union = evaluate(design, parts)
    assert np.nansum(union.estimate) == pytest.approx(whole.estimate[0], rel=1e-12)
    known = np.isfinite(union.estimate)
    assert union.covariance[np.ix_(known, known)].sum() == pytest.approx(whole.variance[0], rel=1e-9, abs=1e-12)

    both = linearized_total(design, np.hstack([column(frame, "x"), column(frame, "y")]))
    mixed = evaluate(design, linearized_total(design, 2.0 * column(frame, "x") - 3.0 * column(frame, "y")))
    contrast = evaluate(design, both.contrast(np.array([[2.0, -3.0]])))
    assert contrast.estimate == pytest.approx(mixed.estimate, rel=1e-10, abs=1e-10)
    assert contrast.variance == pytest.approx(mixed.variance, rel=1e-9, abs=1e-12)


@given(seed=SEEDS, rule=RULES)
@settings(max_examples=60, deadline=None)
def test_a_difference_is_a_contrast(seed: int, rule: LonelyPsu) -> None:
    """Of influences, of the covariance, and by a residual on the indicators written out."""
    frame = survey(seed)
    design = design_of(frame, rule)
    means = statistics(frame, design)[0]
    if not np.isfinite(means.estimate).all():
        return
    coefficients = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    contrast = evaluate(design, means.contrast(coefficients))
    together = evaluate(design, means)
    assert contrast.estimate == pytest.approx(coefficients @ together.estimate)
    if rule != "average":  # which counts the strata of each domain
        expected = coefficients @ together.covariance @ coefficients.T
        assert contrast.covariance == pytest.approx(expected, rel=1e-8, abs=rounding(together.covariance))
    u = means.influence[:, 0] - means.influence[:, 1]
    used = means.used[:, 0] | means.used[:, 1]
    assert contrast.variance[0] == pytest.approx(variance(design, u[:, None], used=used)[0], rel=1e-9, abs=1e-20)
    assert contrast.df[0] == degrees_of_freedom(design, used)


@given(seed=SEEDS, rule=RULES, stages=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_a_census_has_no_variance(seed: int, rule: LonelyPsu, stages: int) -> None:
    drawn = survey(seed)
    frame = drawn.with_columns(
        pl.col("psu").n_unique().over("h").alias("N"), pl.col("ssu").n_unique().over("psu").alias("M")
    )
    design = design_of(frame, rule, stages=stages)
    for each in statistics(frame, design):
        result = evaluate(design, each)
        assert (result.variance[np.isfinite(result.estimate)] == 0.0).all()
    marked = SurveyDesign.from_frame(
        drawn.with_columns(pl.lit(True).alias("all")), weight="w", strata="h", stages=["psu"], take_all="all"
    )
    assert (variance(marked, column(frame, "x")) == 0.0).all()


@given(seed=SEEDS, rule=RULES, in_domain=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_covariance_has_the_variances_on_its_diagonal_and_no_negative_direction(
    seed: int, rule: LonelyPsu, in_domain: bool
) -> None:
    frame = survey(seed)
    design = design_of(frame, rule, in_domain=in_domain)
    rng = np.random.default_rng(seed)
    used = rng.random((frame.height, 4)) < 0.7
    influence = np.where(used, rng.normal(size=(frame.height, 4)), 0.0)
    together = covariance(design, influence, used=used)
    assert np.diagonal(together) == pytest.approx(variance(design, influence, used=used), rel=1e-10, nan_ok=True)
    for k in range(4):
        alone = variance(design, influence[:, [k]], used=used[:, k])
        assert together[k, k] == pytest.approx(alone[0], rel=1e-10, nan_ok=True)
    if np.isfinite(together).all():
        assert np.linalg.eigvalsh(together).min() >= -1e-10 * np.trace(together)


@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_jackknife_of_a_total_equals_taylor(seed: int) -> None:
    """Linear in the weights: theta_(hj) - theta = (n tbar - n t_j)/(n - 1), so the sums of squares are the same."""
    frame = survey(seed, stages=1, lonely=False)
    design = design_of(frame, "certainty", stages=1)
    weights, domain = jackknife(design), frame["d"].to_numpy()
    y = np.hstack([column(frame, "y"), column(frame, "x")])
    ours = replicate_totals(weights, y, domain=domain, n_domains=3)
    for d in range(3):
        taylor = evaluate(design, linearized_total(design, y, inside=domain == d))
        assert ours.estimate[d] == pytest.approx(taylor.estimate, rel=1e-12, nan_ok=True)
        # Every stratum's replicates have the full-sample total for a mean, but only together with equal numbers is
        # that the mean of all replicates: hence around the estimate.
        around = replace(weights, mse=True).variance(ours.replicates[:, d], ours.estimate[d])
        assert around == pytest.approx(taylor.variance, rel=1e-9, abs=1e-12, nan_ok=True)


@given(seed=SEEDS, fay=st.sampled_from([0.0, 0.3, 0.5]))
@settings(max_examples=40, deadline=None)
def test_balanced_replicates_of_a_total_equal_taylor(seed: int, fay: float) -> None:
    """Two PSUs a stratum, no populations: by orthogonality V = sum (t_h1 - t_h2)^2, which is Taylor's."""
    frame = survey(seed, stages=1, lonely=False, pairs=True)
    design = SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"])
    nothing = np.zeros(frame.height, dtype=np.int64)
    ours = replicate_totals(balanced(design, fay=fay), column(frame, "x"), domain=nothing, n_domains=1)
    taylor = evaluate(design, linearized_total(design, column(frame, "x")))
    assert ours.variance[0] == pytest.approx(taylor.variance, rel=1e-9)
    assert balanced(design, fay=fay).degrees_of_freedom() == design.n_strata


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_columns_and_factors_are_one_thing(seed: int) -> None:
    frame = survey(seed, stages=1, lonely=False)
    design = design_of(frame, "certainty", stages=1)
    factors = jackknife(design)
    if factors.n_replicates == 0:
        return
    columns = factors.from_columns(
        design.weight, factors.analysis_weights(), scale=factors.scale, rscales=factors.rscales
    )
    domain = frame["d"].to_numpy()
    one, two = (replicate_means(each, column(frame, "y"), domain=domain, n_domains=3) for each in (factors, columns))
    for name in ("estimate", "variance", "n", "df", "deff"):
        ours, theirs = getattr(one, name), getattr(two, name)
        assert ours == pytest.approx(theirs, rel=1e-9, abs=rounding(theirs), nan_ok=True), name
    assert factors.totals(column(frame, "x")) == pytest.approx(columns.totals(column(frame, "x")), rel=1e-12)


@given(seed=SEEDS, rule=RULES, method=st.sampled_from(["poststratify", "linear"]))
@settings(max_examples=40, deadline=None)
def test_calibrated_totals_are_known_without_error(seed: int, rule: LonelyPsu, method: str) -> None:
    frame = survey(seed)
    weight = frame["w"].to_numpy()
    if method == "poststratify":
        made = post_stratify(weight, frame["g"], {"p": 60.0, "q": 40.0})
        known = np.column_stack([frame["g"] == "p", frame["g"] == "q"]).astype(float)
    else:
        totals = {"1": 100.0, "g=q": 40.0, "x": 230.0}
        made = calibrate(weight, terms_matrix(frame, list(totals)), totals)
        known = np.column_stack([np.ones(frame.height), frame["g"] == "q", frame["x"]])
    design = SurveyDesign.from_frame(
        frame.with_columns(pl.Series("w", made.weight)),
        weight="w",
        strata="h",
        stages=["psu", "ssu"],
        population=["N", "M"],
        lonely_psu=rule,
        calibration=made.residualizer,
        allow_negative_weights=True,
    )
    result = evaluate(design, linearized_total(design, known))
    assert (np.nan_to_num(np.sqrt(result.variance)) <= 1e-9 * np.abs(result.estimate)).all()
