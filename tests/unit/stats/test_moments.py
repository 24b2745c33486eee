"""Moments: the same estimates as from the rows, whatever the order of the file and what is missing or constant."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import AxstatError
from pipelines.stats import arrays
from pipelines.stats import moments as under_test
from pipelines.stats.arrays import PIECE
from pipelines.stats.cells import Cells
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.linearization import DomainEstimates, domain_means, domain_ratios, domain_totals
from pipelines.stats.moments import Moments, reduce_to_moments, summarise

FIELDS = ("estimate", "se", "n", "df", "sum_weights", "kish_deff")
DEFFS = ("deff", "deff_replace")
MEASURES = ["share", "income", "all_one", "none", "holes", "null", "whole", "yes"]


def survey(seed: int, *, kind: str, lonely: bool = False) -> pl.DataFrame:
    """300 rows or so in 3 strata: domains of a PSU's own ("nested"), of a row's own ("crossed"), PSUs of one row."""
    rng = np.random.default_rng(seed)
    n_psu = rng.integers(4, 12, 3)
    if lonely:
        n_psu[int(rng.integers(0, 3))] = 1
    stratum = np.repeat(np.arange(3), n_psu)
    length = np.full(len(stratum), 1) if kind == "rows" else rng.integers(1, 30, len(stratum))
    psu = np.repeat(np.arange(len(stratum)), length)
    n = len(psu)
    domain = rng.integers(-1, 4, len(stratum))[psu] if kind == "nested" else rng.integers(-1, 4, n)
    return pl.DataFrame(
        {
            "h": stratum[psu],
            "psu": [f"p{(7 * number) % 101}" for number in psu],  # labels in another order than the file
            "N": (n_psu + 5)[stratum[psu]],
            "w": np.where(rng.random(n) < 0.05, 0.0, rng.uniform(0.5, 9, n)),
            "d": domain,
            "share": (rng.random(n) < 0.3).astype(np.float64),
            "income": rng.normal(50, 3, n),
            "all_one": np.ones(n),
            "none": np.zeros(n),
            "holes": np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 2, n)),
            "whole": rng.integers(0, 9, n),
            "yes": rng.random(n) < 0.4,
            "x": rng.uniform(0.1, 5, n),
        }
    ).with_columns(
        pl.when(pl.col("holes").is_nan()).then(None).otherwise("holes").alias("null"),
        (3.0 * pl.col("x") + pl.Series(rng.normal(0, 0.02, n))).alias("nearly"),
    )


def design_of(frame: pl.DataFrame, rule: LonelyPsu = "fail", *, in_domain: bool = False) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame,
        weight="w",
        strata="h",
        stages=["psu"],
        population=["N"],
        lonely_psu=rule,
        lonely_psu_in_domain=in_domain,
    )


def numbers(frame: pl.DataFrame, *names: str) -> np.ndarray:
    return frame.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def assert_same(ours: DomainEstimates, rows: DomainEstimates, fields: Sequence[str] = FIELDS) -> None:
    """Within 1e-10; a standard error that is 0 may be the rounding of its estimate."""
    for name in fields:
        left, right = getattr(ours, name), getattr(rows, name)
        if name in DEFFS:
            varied = (rows.se > 1e-9 * np.abs(rows.estimate)) & (right < 1e12)  # the values vary: else it is rounding
            left, right = left[varied], right[varied]
        assert np.array_equal(np.isnan(left), np.isnan(right)), name
        rounding = 1e-12 * np.abs(rows.estimate) if name == "se" else 0.0
        assert (np.isnan(right) | (np.abs(left - right) <= 1e-10 * np.abs(right) + rounding)).all(), name


@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["nested", "crossed", "rows"]),
    mixed=st.booleans(),
    rule=st.sampled_from(["fail", "adjust", "average", "certainty", "remove"]),
    in_domain=st.booleans(),
    piece=st.sampled_from([7, 50, 10**6]),
    cut=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_moments_give_what_the_rows_give(
    seed: int, kind: str, mixed: bool, rule: LonelyPsu, in_domain: bool, piece: int, cut: int
) -> None:
    frame = survey(seed, kind=kind, lonely=rule != "fail")
    if mixed:
        frame = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    frame = pl.concat([frame[:cut], frame[cut:]], rechunk=False)  # as a file of two row groups is read
    design, domain = design_of(frame, rule, in_domain=in_domain), frame["d"].to_numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "PIECE", piece)
        patch.setattr(under_test, "ROWS_A_GROUP", 0)
        for name in MEASURES:
            y = numbers(frame, name)
            rows, totals = (each(design, y, domain=domain, n_domains=4) for each in (domain_means, domain_totals))
            made = [
                summarise(
                    frame,
                    design,
                    measures=[name],
                    domain=domain,
                    n_domains=4,
                    totals=of_totals,
                    with_design_effects=True,
                )
                for of_totals in (False, True)
            ]
            assert_same(made[0].estimates(), rows, FIELDS + DEFFS)
            assert_same(made[1].totals(), totals, FIELDS + DEFFS)
        for name, over in (("nearly", "x"), ("holes", "x"), ("income", "holes")):
            ratios = summarise(frame, design, measures=[name], denominators={name: over}, domain=domain, n_domains=4)
            assert_same(
                ratios.estimates(),
                domain_ratios(design, numbers(frame, name), numbers(frame, over), domain=domain, n_domains=4),
            )


def large(n: int, *, crossed: bool) -> tuple[pl.DataFrame, SurveyDesign, np.ndarray]:
    """n rows in the order of their design, 30 strata, PSUs of 25."""
    rng = np.random.default_rng(n)
    stratum = np.repeat(np.sort(np.arange(n // 25) % 30), 25)
    frame = pl.DataFrame(
        {
            "h": stratum,
            "psu": np.repeat(np.arange(n // 25), 25),
            "N": np.full(n, 10**6),
            "w": rng.uniform(1, 5, n),
            "d": rng.integers(0, 4, n) if crossed else stratum % 4,
            "y": rng.integers(0, 9, n),
            "narrow": rng.normal(1e6, 1.0, n),
        }
    ).with_columns(
        pl.when(pl.int_range(pl.len()).is_in([7, 8, n - 1])).then(np.inf).otherwise("y").alias("holes"),
        pl.when(pl.int_range(pl.len()) == 8).then(-np.inf).otherwise("y").alias("minus"),
    )
    return frame, design_of(frame), frame["d"].to_numpy()


@pytest.mark.parametrize("crossed", [False, True])
def test_long_chunked_files_and_infinite_values(crossed: bool) -> None:
    """More rows than a piece holds, read from two chunks, also out of order; values that are no numbers are missing."""
    n = 11_000 * 25
    frame, _, domain = large(n, crossed=crossed)
    frame = pl.concat([frame[: n // 3], frame[n // 3 :]], rechunk=False)
    assert n > 2 * PIECE
    assert frame["y"].n_chunks() == 2
    measures = ["y", "holes", "minus"]
    rows = domain_means(design_of(frame), numbers(frame, *measures), domain=domain, n_domains=4)
    for order in (np.arange(n), np.random.default_rng(3).permutation(n)):
        mixed = frame[order]
        made = reduce_to_moments(mixed, design_of(mixed), measures=measures, domain=domain[order], n_domains=4)
        assert_same(made.estimates(), rows)
        assert made.estimates().n.sum(axis=0).tolist() == [n, n - 3, n - 1]


@pytest.mark.parametrize("crossed", [False, True])
def test_values_far_from_zero_are_read_about_their_mean(crossed: bool) -> None:
    """1,000,000 with a standard deviation of 1: as squares they would keep four digits of the variance."""
    frame, design, domain = large(20_000, crossed=crossed)
    made = summarise(frame, design, measures=["narrow"], domain=domain, n_domains=4)
    assert isinstance(made, Moments)
    assert made.about[:, 0] == pytest.approx(1e6, abs=1)
    plain = reduce_to_moments(frame, design, measures=["narrow"], domain=domain, n_domains=4)
    assert not plain.precise()
    rows = domain_means(design, numbers(frame, "narrow"), domain=domain, n_domains=4)
    # A value of 1,000,000 has 1e-10 of a standard deviation for its last digit.
    assert made.estimates().variance == pytest.approx(rows.variance, rel=1e-9)


def test_what_moments_cannot_hold_is_left_to_cells() -> None:
    """Totals that differ by strata only; several stages; few cells, scattered; a stratum and domain with few rows."""
    frame, design, domain = large(20_000, crossed=False)
    level = frame.with_columns((1.0 + pl.col("h")).alias("y"), pl.lit(1.0).alias("w"))
    flat = summarise(level, design_of(level), measures=["y"], domain=domain, n_domains=4, totals=True)
    assert isinstance(flat, Cells)
    assert flat.totals().variance.max() == 0.0
    stages = SurveyDesign.from_frame(
        frame.with_columns(pl.lit(30).alias("M")).with_row_index("row"),
        weight="w",
        strata="h",
        stages=["psu", "row"],
        population=["N", "M"],
    )
    assert isinstance(summarise(frame, stages, measures=["y"], domain=domain, n_domains=4), Cells)
    scattered = frame.sample(fraction=1.0, shuffle=True, seed=2)
    for domains, kind in ((scattered["d"].to_numpy(), Cells), (np.arange(20_000) % 20, Moments)):
        made = summarise(scattered, design_of(scattered), measures=["y"], domain=domains, n_domains=20)
        assert isinstance(made, kind)
    few = frame[::20]
    design = SurveyDesign.from_frame(few, weight="w", strata="h")
    assert isinstance(summarise(few, design, measures=["y"], domain=few["d"].to_numpy(), n_domains=4), Moments)
    many = np.arange(few.height) % 20
    assert isinstance(summarise(few, design, measures=["y"], domain=many, n_domains=20), Cells)


def test_moments_come_back_from_their_table() -> None:
    frame = survey(11, kind="crossed", lonely=True)
    design, domain = design_of(frame, "average", in_domain=True), frame["d"].to_numpy()
    for measures, effects in ((["share", "holes"], True), (["whole"], False)):
        about = np.full((4, len(measures)), 0.25)
        moments = reduce_to_moments(
            frame,
            design,
            measures=measures,
            domain=domain,
            n_domains=4,
            with_design_effects=effects,
            about=about,
        )
        stored = Moments.from_frame(moments.to_frame(), n_domains=4, lonely_psu="average", lonely_psu_in_domain=True)
        assert stored.measures == tuple(measures)
        assert np.isfinite(stored.estimates().deff).all() == effects
        for name in (*FIELDS, *DEFFS):
            for of in (Moments.estimates, Moments.totals):
                assert np.array_equal(getattr(of(stored), name), getattr(of(moments), name), equal_nan=True), name


def test_a_mean_by_hand() -> None:
    """PSUs (0, 1) and (1, 1), weights 1: A = 1, 2, B = 2, 2; p = 3/4, z = (A - pB)/4 = -1/8, 1/8, V = 2/1 (2/64)."""
    frame = pl.DataFrame({"psu": ["a", "a", "b", "b"], "w": [1.0] * 4, "y": [0, 1, 1, 1]})
    design = SurveyDesign.from_frame(frame, weight="w", stages=["psu"])
    moments = reduce_to_moments(frame, design, measures=["y"], domain=np.zeros(4, dtype=np.int64), n_domains=1)
    sums = {name: float(values[0, 0]) for name, values in moments.sums.items()}
    assert sums == {
        "n": 4,
        "weight": 4,
        "units": 2,
        "acting": 2,
        "top": 3,
        "bottom": 4,
        "top_top": 1 + 4,
        "top_bottom": 2 + 4,
        "bottom_bottom": 4 + 4,
        "row_bottom_bottom": 4,
    }
    result = moments.estimates()
    assert result.estimate[0, 0] == 0.75
    assert result.variance[0, 0] == pytest.approx(2 * 2 / 64, rel=1e-15)
    assert (result.n[0, 0], result.df[0, 0]) == (4, 1)


def test_arrays_that_do_not_fit_are_refused() -> None:
    design = SurveyDesign.from_frame(pl.DataFrame({"w": [1.0, 2.0, 3.0]}), weight="w")
    whole = pl.DataFrame({"y": [1.0, 0.0, 1.0]})
    for frame, domain in ((whole.head(2), [0, 0, 0]), (whole, [0, 0, 1]), (whole, [0, -2, 0]), (whole, [0, 0])):
        with pytest.raises(ValueError, match=r"rows|domain codes"):
            reduce_to_moments(frame, design, measures=["y"], domain=np.array(domain), n_domains=1)


def test_calibrated_weights_are_refused() -> None:
    frame = pl.DataFrame({"g": ["a", "b"] * 4, "w": [1.0, 2.0] * 4, "y": [0, 1] * 4})
    design = SurveyDesign.from_frame(frame, weight="w", calibration_group="g")
    with pytest.raises(AxstatError, match="cells_calibrated"):
        summarise(frame, design, measures=["y"], domain=np.zeros(8, dtype=np.int64), n_domains=1)
