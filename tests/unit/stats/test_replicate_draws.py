"""Permanent numbers, the factors of the two bootstraps, and the covariance of two waves."""

import subprocess
import sys
from math import comb

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.design import SurveyDesign
from pipelines.stats.linearization import linearized_total
from pipelines.stats.overlap import overlap_covariance
from pipelines.stats.replicate_draws import (
    TAU,
    SignDraws,
    carry_signs,
    draw_signs,
    generalised_bootstrap,
    keep_probability,
    permanent_numbers,
    permanent_signs,
    rescaled_bootstrap,
    sampling_deviations,
    sampling_spread,
    splitmix64,
)
from pipelines.stats.replication import jackknife, replicate_totals
from pipelines.stats.variance import variance

IDS = pl.Series([f"{i:05d}" for i in range(300)])


def sample(
    strata: dict[str, tuple[int, float]], *, seed: int = 1, **options: object
) -> tuple[pl.DataFrame, SurveyDesign]:
    """Strata of (n, N), one row a unit, weight N/n, a measure y."""
    rng = np.random.default_rng(seed)
    rows = [(f"{h}{j:03d}", h, population, population / n) for h, (n, population) in strata.items() for j in range(n)]
    frame = pl.DataFrame(rows, schema=["id", "h", "N", "w"], orient="row").with_columns(
        pl.Series("y", rng.lognormal(1.0, 0.7, len(rows)))
    )
    return frame, SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["id"], population=["N"], **options)


MIXED = {"a": (2, 7.0), "b": (5, 12.0), "c": (40, 400.0), "d": (6, 6.0), "e": (1, 1.0), "f": (25, 31.0)}


# Permanent numbers


def test_splitmix64_gives_the_published_sequence() -> None:
    """Rosetta Code, 'Pseudo-random numbers/Splitmix64', seed 1234567."""
    assert splitmix64(np.array([1234567], dtype=np.uint64), 5)[0].tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_a_number_belongs_to_its_key_alone() -> None:
    numbers = permanent_numbers(IDS, key=("industry", "x"), replicates=40)
    order = np.random.default_rng(3).permutation(len(IDS))
    assert np.array_equal(permanent_numbers(IDS[order], key=("industry", "x"), replicates=40), numbers[order])
    assert np.array_equal(permanent_numbers(IDS[7:8], key=("industry", "x"), replicates=9), numbers[7:8, :9])
    assert np.array_equal(permanent_signs(IDS, key=("industry", "x"), replicates=40), numbers < 0.5)
    for key in (("public", "x"), ("industry", "y"), ("industryx", "")):
        other = permanent_numbers(IDS, key=key, replicates=40)
        assert abs(np.corrcoef(other.ravel(), numbers.ravel())[0, 1]) < 4.5 / np.sqrt(numbers.size)


def test_numbers_are_those_of_another_process() -> None:
    script = (
        "import polars as pl; from pipelines.stats.replicate_draws import permanent_numbers as p; "
        "print(p(pl.Series(['00001', '한국']), key=('industry', 'x'), replicates=3).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    here = permanent_numbers(pl.Series(["00001", "한국"]), key=("industry", "x"), replicates=3)
    assert done.stdout.strip() == str(here.tolist())


def test_numbers_are_uniform_and_independent() -> None:
    """Cells of a 20-part histogram, and products over units and over replicates, within 4.5 standard errors."""
    numbers = permanent_numbers(IDS, key=("industry", "x"), replicates=2000)
    assert numbers.min() > 0
    assert numbers.max() < 1
    share = np.histogram(numbers, bins=20, range=(0, 1))[0] / numbers.size
    assert np.abs(share - 0.05).max() < 4.5 * np.sqrt(0.05 * 0.95 / numbers.size)
    centred = (numbers - 0.5) * np.sqrt(12.0)
    for one, two in ((centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1])):
        assert abs((one * two).mean()) < 4.5 / np.sqrt(one.size)


# Factors


def test_factors_by_hand() -> None:
    """Stratum a: 2 of 4, (1 - f) n/(n - 1) = 1: signs + - give 1 ± 1/tau, + + give 1. b is taken whole."""
    sign = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=np.bool_)
    spread = sampling_spread(np.array([2.0, 3.0]), np.array([4.0, 3.0]))
    assert spread.tolist() == [1.0, 0.0]
    deviation = sampling_deviations(sign, np.array([0, 0, 1, 1, 1]), spread)
    assert deviation.tolist() == [[1, 0], [-1, 0], [0, 0], [0, 0], [0, 0]]


def test_one_unit_and_a_census_have_the_factor_one() -> None:
    frame, design = sample(MIXED)
    whole = frame["h"].is_in(["d", "e"]).to_numpy()
    for made in (
        generalised_bootstrap(
            design, frame["id"], draw_signs(frame["id"], labels=frame["id"], survey="s", replicates=50)
        ),
        rescaled_bootstrap(design, survey="s", replicates=50),
    ):
        assert (made.factor[whole] == 1.0).all()
        assert (made.factor[~whole] != 1.0).any(axis=1).all()


@pytest.mark.parametrize("seed", range(6))
def test_factors_are_positive_and_have_mean_one_in_each_stratum(seed: int) -> None:
    """Also in strata of every size and fraction: the generalised ones lie above 1 - 2/tau = 0.2."""
    rng = np.random.default_rng(seed)
    strata = {f"h{k:02d}": (int(n), float(n + rng.integers(0, 60))) for k, n in enumerate(rng.integers(2, 60, 40))}
    frame, design = sample(strata, seed=seed)
    general = generalised_bootstrap(
        design, frame["id"], draw_signs(frame["id"], labels=frame["id"], survey=f"s{seed}", replicates=300)
    )
    rescaled = rescaled_bootstrap(design, survey=f"s{seed}", replicates=300)
    assert general.factor.min() > 1.0 - 2.0 / TAU
    assert rescaled.factor.min() >= 0
    for made in (general, rescaled):
        means = pl.DataFrame({"h": frame["h"]}).hstack(pl.DataFrame(made.factor)).group_by("h").mean().drop("h")
        assert np.abs(means.to_numpy() - 1.0).max() < 1e-12


def test_rows_in_another_order_have_the_same_factors() -> None:
    frame, design = sample(MIXED)
    turned = frame.sample(fraction=1.0, shuffle=True, seed=5)
    other = SurveyDesign.from_frame(turned, weight="w", strata="h", stages=["id"], population=["N"])

    def by_id(table: pl.DataFrame, weights: np.ndarray) -> pl.DataFrame:
        return table.select("id").hstack(pl.DataFrame(weights)).sort("id")

    one, two = (rescaled_bootstrap(d, survey="s", replicates=20).analysis_weights() for d in (design, other))
    assert by_id(frame, one).equals(by_id(turned, two))
    drawn = draw_signs(frame["id"], labels=frame["id"], survey="s", replicates=20).sign
    assert by_id(frame, drawn).equals(
        by_id(turned, draw_signs(turned["id"], labels=turned["id"], survey="s", replicates=20).sign)
    )


def test_primary_units_take_the_draw_of_their_label() -> None:
    """Clusters of two rows, in no order: both rows have the factor that the unit has in a file of units."""
    frame, design = sample(MIXED)
    draws = draw_signs(frame["id"], labels=frame["id"], survey="s", replicates=20)
    alone = pl.DataFrame(generalised_bootstrap(design, frame["id"], draws).analysis_weights()).insert_column(
        0, frame["id"]
    )
    rows = pl.concat([frame, frame]).sample(fraction=1.0, shuffle=True, seed=2)
    clusters = SurveyDesign.from_frame(rows, weight="w", strata="h", stages=["id"], population=["N"])
    both = pl.DataFrame(generalised_bootstrap(clusters, rows["id"], draws).analysis_weights())
    assert both.equals(rows.select("id").join(alone, on="id", how="left", maintain_order="left").drop("id"))
    with pytest.raises(AxstatError, match="no_draw"):
        generalised_bootstrap(design, frame["id"], SignDraws(draws.unit_id[:5], draws.sign[:5]))
    nested = frame.with_columns(pl.col("id").str.slice(1).alias("id"))
    repeated = SurveyDesign.from_frame(nested, weight="w", strata="h", stages=["id"], population=["N"], nest=True)
    with pytest.raises(AxstatError, match="psu_label_repeated"):
        generalised_bootstrap(
            repeated,
            nested["id"],
            draw_signs(nested["id"].unique(), labels=nested["id"].unique(), survey="s", replicates=2),
        )


def test_every_pattern_of_signs_together_gives_the_linear_variance_exactly() -> None:
    """All 2^n patterns of signs are the expectation over the draws: V of a total is Taylor's to rounding."""
    frame, design = sample({"a": (2, 7.0), "b": (4, 12.0), "c": (3, 40.0), "d": (2, 2.0)})
    n = frame.height
    patterns = (np.arange(2**n)[None, :] >> np.arange(n)[:, None] & 1).astype(np.bool_)
    made = generalised_bootstrap(design, frame["id"], SignDraws(frame["id"], patterns))
    y = frame["y"].to_numpy()[:, None]
    total = replicate_totals(made, y, domain=np.zeros(n, dtype=np.int64), n_domains=1)
    linear = variance(design, linearized_total(design, y).influence)[0]
    assert total.variance[0, 0] == pytest.approx(linear, rel=1e-9)
    assert replicate_totals(jackknife(design), y, domain=np.zeros(n, dtype=np.int64), n_domains=1).variance[
        0, 0
    ] == pytest.approx(linear, rel=1e-9)


def test_rescaled_factors_have_the_moments_of_the_multinomial() -> None:
    """n - 1 draws from n: k is binomial, and Cov(a) = (1 - f)(n/(n - 1)) (I - J/n), within 4.5 errors."""
    replicates, n, fraction = 20_000, 5, 5 / 12
    _, design = sample({"b": (n, 12.0)})
    factor = rescaled_bootstrap(design, survey="s", replicates=replicates).factor
    times = np.rint(((factor - 1.0) / np.sqrt(1.0 - fraction) + 1.0) * (n - 1) / n).astype(int)
    assert (times.sum(axis=0) == n - 1).all()
    for k in range(n):
        chance = comb(n - 1, k) * (1 / n) ** k * (1 - 1 / n) ** (n - 1 - k)
        error = np.sqrt(chance * (1 - chance) / replicates)
        assert np.abs((times == k).mean(axis=1) - chance).max() < 4.5 * error
    products = (factor - 1.0)[:, None] * (factor - 1.0)[None, :]
    wanted = (1.0 - fraction) * n / (n - 1) * (np.eye(n) - 1.0 / n)
    assert (np.abs(products.mean(axis=2) - wanted) < 4.5 * products.std(axis=2) / np.sqrt(replicates)).all()


@pytest.mark.parametrize("method", ["generalised", "rescaled"])
def test_variance_of_a_total_is_the_linear_one(method: str) -> None:
    """4,000 replicates of a mixed design: within 4.5 Monte Carlo errors of the squared deviations."""
    frame, design = sample(MIXED)
    y = frame["y"].to_numpy()[:, None]
    made = (
        generalised_bootstrap(
            design, frame["id"], draw_signs(frame["id"], labels=frame["id"], survey="s", replicates=4000)
        )
        if method == "generalised"
        else rescaled_bootstrap(design, survey="s", replicates=4000)
    )
    squares = made.scale * 4000 * np.square(made.totals(y)[:, 0] - (design.weight @ y)[0])
    linear = variance(design, linearized_total(design, y).influence)[0]
    assert abs(squares.mean() - linear) < 4.5 * squares.std() / np.sqrt(4000)


def test_a_lonely_unit_needs_a_rule_that_drops_it() -> None:
    lonely = {"a": (1, 5.0), "b": (3, 9.0)}
    _, dropped = sample(lonely, lonely_psu="certainty")
    assert (rescaled_bootstrap(dropped, survey="s", replicates=5).factor[0] == 1.0).all()
    _, adjusted = sample(lonely, lonely_psu="adjust")
    with pytest.raises(AxstatError, match="no_bootstrap"):
        rescaled_bootstrap(adjusted, survey="s", replicates=5)


# Waves


def test_signs_are_kept_turned_or_new() -> None:
    """Kept with probability |keep|, else new: agreement (1 + keep)/2; within 4.5 errors of 100 x 4,000 signs."""
    replicates = 4000
    first = draw_signs(IDS, labels=IDS, survey="s", replicates=replicates)
    keep = np.repeat([1.0, 0.6, -0.4], 100)
    second = carry_signs(first, IDS, labels=IDS, survey="s", wave=2, keep=keep)
    agree = (first.sign == second.sign).reshape(3, -1).mean(axis=1)
    assert agree[0] == 1.0
    wanted = (1.0 + np.array([0.6, -0.4])) / 2
    assert (np.abs(agree[1:] - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / (100 * replicates))).all()
    assert np.array_equal(carry_signs(first, IDS, labels=IDS, survey="s", wave=2).sign, first.sign)


def test_units_without_a_last_wave_have_their_permanent_sign() -> None:
    first = draw_signs(IDS[:200], labels=IDS[:200], survey="s", replicates=30)
    second = carry_signs(first, IDS[100:], labels=IDS[100:], survey="s", wave=2)
    assert np.array_equal(second.sign, draw_signs(IDS[100:], labels=IDS[100:], survey="s", replicates=30).sign)
    turned = carry_signs(first, IDS[:200], labels=IDS[:200], survey="s", wave=2, keep=np.full(200, -1.0))
    third = carry_signs(turned, IDS[150:], labels=IDS[150:], survey="s", wave=3)
    assert np.array_equal(third.sign[:50], ~first.sign[150:])


def test_keep_probability_at_its_limits() -> None:
    n = np.array([10.0, 10.0, 10.0, 10.0, 12.0, 10.0])
    keep = keep_probability(
        n, n, np.array([10.0, 2.5, 1.0, 7.0, 12.0, 2.0]), np.array([40.0, 40.0, 40.0, 1e9, 12.0, 15.0])
    )
    assert keep[0] == pytest.approx(1.0, abs=1e-12)  # the same sample
    assert keep[1] == pytest.approx(0.0, abs=1e-12)  # as many in common as in independent samples: 10 10/40
    assert keep[2] == 0.0  # one unit has no covariance
    assert keep[3] == 1.0  # a hair above 1 is left out
    assert keep[4] == 0.0  # a census
    assert keep[5] == -1.0  # fewer in common than any two samples of 10 of 15 can have


def pair_of_samples(
    rng: np.random.Generator, n1: int, n2: int, common: int, size: int, y: np.ndarray, label: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = rng.permutation(size)
    drawn = (order[:n1], np.concatenate([order[:common], order[n1 : n1 + n2 - common]]))
    frames = []
    for number, units in enumerate(drawn):
        frames.append(
            pl.DataFrame(
                {
                    "id": [f"{label}{i:04d}" for i in units],
                    "h": label,
                    "N": float(size),
                    "w": size / len(units),
                    "y": y[units, number],
                }
            ).sort("id")
        )
    return frames[0], frames[1]


def two_waves(seed: int) -> tuple[tuple[pl.DataFrame, SurveyDesign], tuple[pl.DataFrame, SurveyDesign], np.ndarray]:
    """Strata with f = 0.3 and 0.05, one as if response were independent (rho 0.05) and one with rho below 0."""
    rng = np.random.default_rng(seed)
    strata = {"a": (60, 55, 40, 200), "b": (20, 20, 12, 400), "c": (60, 70, 43, 100), "d": (40, 40, 12, 120)}
    parts, keep = [], {}
    for label, (n1, n2, m, size) in strata.items():
        first = rng.normal(10, 3, size)
        y = np.column_stack([first, 0.9 * first + rng.normal(2, 1, size)])
        parts.append(pair_of_samples(rng, n1, n2, m, size, y, label))
        keep[label] = keep_probability(*(np.array([float(v)]) for v in (n1, n2, m, size)))[0]
    waves = []
    for frames in zip(*parts, strict=True):
        frame = pl.concat(frames)
        waves.append((frame, SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["id"], population=["N"])))
    return waves[0], waves[1], np.array([keep[label] for label in waves[1][0]["h"].to_list()])


def expected_covariance(one: tuple[pl.DataFrame, SurveyDesign], two: tuple[pl.DataFrame, SurveyDesign]) -> float:
    """sqrt(k1 k2) rho sum over the common units of (z1 - z̄1)(z2 - z̄2), by strata: what the draws give on average."""
    total = 0.0
    for (label,), first in one[0].group_by("h"):
        second = two[0].filter(pl.col("h") == label)
        deviations = [
            frame.select("id", (pl.col("w") * pl.col("y") - (pl.col("w") * pl.col("y")).mean()).alias("z"))
            for frame in (first, second)
        ]
        common = deviations[0].join(deviations[1], on="id", suffix="2")
        counts = [np.array([float(v)]) for v in (first.height, second.height, common.height, first["N"][0])]
        k1, k2 = (sampling_spread(count, counts[3])[0] for count in counts[:2])
        total += float(np.sqrt(k1 * k2) * keep_probability(*counts)[0] * (common["z"] * common["z2"]).sum())
    return total


def test_bootstrap_covariance_of_two_waves_by_simulation() -> None:
    """20,000 replicates: the covariance of two totals is within 4.5 Monte Carlo errors of its formula."""
    replicates = 20_000
    one, two, keep = two_waves(3)
    assert keep.min() < -0.1
    assert 0.9 < keep.max() <= 1.0
    first = draw_signs(one[0]["id"], labels=one[0]["id"], survey="s", replicates=replicates)
    second = carry_signs(first, two[0]["id"], labels=two[0]["id"], survey="s", wave=2, keep=keep)
    deviations = []
    for (frame, design), draws in ((one, first), (two, second)):
        y = frame["y"].to_numpy()[:, None]
        made = generalised_bootstrap(design, frame["id"], draws)
        deviations.append(TAU * (made.totals(y)[:, 0] - (design.weight @ y)[0]))
    products = deviations[0] * deviations[1]
    error = products.std() / np.sqrt(replicates)
    wanted = expected_covariance(one, two)
    assert abs(products.mean() - wanted) < 4.5 * error
    assert abs(wanted) > 10 * error  # so that no covariance at all would be seen


def test_bootstrap_covariance_has_the_expectation_of_the_formula() -> None:
    """200 pairs of samples: it differs from C of method.md 3 by nothing but noise (3.5 errors of the difference)."""
    differences, formula = [], []
    for seed in range(200):
        one, two, _ = two_waves(1000 + seed)
        influence = [linearized_total(design, frame["y"].to_numpy()[:, None]).influence for frame, design in (one, two)]
        c = overlap_covariance(one[1], two[1], (one[0]["id"], two[0]["id"]), (influence[0], influence[1]))[0]
        differences.append(expected_covariance(one, two) - c)
        formula.append(c)
    error = np.std(differences) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < 3.5 * error
    assert error < 0.01 * np.mean(formula)
