"""Cells: the same estimates as from the rows, whatever the order of the file and what is missing."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import AxstatError
from pipelines.stats.cells import PIECE, Cells, reduce_to_cells
from pipelines.stats.design import LonelyPsu, SurveyDesign
from pipelines.stats.linearization import DomainEstimates, domain_means, domain_ratios, domain_totals

FIELDS = ("estimate", "variance", "n", "df", "sum_weights", "kish_deff")
DEFFS = ("deff", "deff_replace")


def survey(seed: int, *, lonely: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for h in range(int(rng.integers(1, 5))):
        n_psu = 1 if lonely and h == 0 else int(rng.integers(2, 7))
        for j in range(n_psu):
            n_ssu = int(rng.integers(2, 4))
            for k in range(n_ssu):
                for _ in range(int(rng.integers(1, 4))):
                    rows.append((f"h{h}", f"h{h}-{j}", k, n_psu + 5 + h, n_ssu + 2, rng.uniform(0.5, 9)))
    frame = pl.DataFrame(rows, schema=["h", "psu", "ssu", "N", "M", "w"], orient="row")
    n = frame.height
    return frame.with_columns(
        pl.when(pl.Series(rng.random(n) < 0.05)).then(0.0).otherwise("w").alias("w"),
        pl.Series("d", rng.integers(-1, 3, n)),
        pl.Series("whole", rng.normal(50, 3, n)),
        pl.Series("some", np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 2, n))),
        pl.Series("yes", rng.random(n) < 0.4),
        pl.Series("x", rng.uniform(0.1, 5, n)),
    ).with_columns(pl.when(pl.col("some").is_nan()).then(None).otherwise("some").alias("null"))


def design_of(frame: pl.DataFrame, rule: LonelyPsu = "fail", *, in_domain: bool = False) -> SurveyDesign:
    return SurveyDesign.from_frame(
        frame,
        weight="w",
        strata="h",
        stages=["psu", "ssu"],
        population=["N", "M"],
        lonely_psu=rule,
        lonely_psu_in_domain=in_domain,
    )


def column(frame: pl.DataFrame, *names: str) -> np.ndarray:
    return frame.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy()


def assert_same(ours: DomainEstimates, rows: DomainEstimates, fields: tuple[str, ...] = FIELDS) -> None:
    for name in fields:
        left, right = getattr(ours, name), getattr(rows, name)
        assert left == pytest.approx(right, rel=1e-9, abs=1e-12, nan_ok=True), name


@given(
    seed=st.integers(0, 10**6),
    order=st.sampled_from(["design", "mixed"]),
    rule=st.sampled_from(["fail", "adjust", "average", "certainty"]),
    in_domain=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_cells_give_what_the_rows_give(seed: int, order: str, rule: LonelyPsu, in_domain: bool) -> None:
    frame = survey(seed, lonely=rule != "fail")
    if order == "mixed":
        frame = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    design, domain = design_of(frame, rule, in_domain=in_domain), frame["d"].to_numpy()
    measures = ["whole", "some", "null", "yes"]
    cells = reduce_to_cells(frame, design, measures=measures, domain=domain, n_domains=3, with_design_effects=True)
    assert len(cells.domain) <= frame.height
    y = column(frame, *measures)
    assert_same(cells.estimates(), domain_means(design, y, domain=domain, n_domains=3), FIELDS + DEFFS)
    totals = domain_totals(design, y, domain=domain, n_domains=3)
    assert_same(cells.totals(), totals, FIELDS + DEFFS)

    ratios = reduce_to_cells(
        frame, design, measures=measures, denominators={"whole": "x", "null": "x"}, domain=domain, n_domains=3
    )
    x = column(frame, "x")
    assert_same(
        ratios.estimates(),
        domain_ratios(design, y, np.hstack([x, np.ones_like(x), x, np.ones_like(x)]), domain=domain, n_domains=3),
    )


def test_files_sorted_by_unit_and_others_of_any_size() -> None:
    """Few long runs, a run a row, and keys that outnumber the rows: the three ways of adding up."""
    rng = np.random.default_rng(4)
    for per_psu, n_domains, mixed in ((20, 3, False), (20, 3, True), (1, 50, True), (2, 400, True)):
        n = 600
        frame = pl.DataFrame(
            {
                "h": np.repeat(np.arange(6), 100),
                "psu": np.arange(n) // per_psu,
                "w": rng.uniform(1, 5, n),
                "d": rng.integers(0, n_domains, n) if mixed else np.arange(n) // 200,
                "y": rng.integers(0, 2, n).astype(float),
            }
        )
        design, domain = SurveyDesign.from_frame(frame, weight="w", strata="h", stages=["psu"]), frame["d"].to_numpy()
        cells = reduce_to_cells(frame, design, measures=["y"], domain=domain, n_domains=n_domains)
        assert_same(cells.estimates(), domain_means(design, column(frame, "y"), domain=domain, n_domains=n_domains))
        if not mixed:
            assert len(cells.domain) == 30


def test_infinite_values_and_long_chunked_files() -> None:
    """More rows than a piece holds, read from two chunks, whole numbers; values that are no numbers are missing."""
    n = 2 * PIECE + 500
    rng = np.random.default_rng(8)
    frame = pl.DataFrame({"psu": np.arange(n) // 50, "w": rng.uniform(1, 5, n), "y": rng.integers(0, 9, n)})
    frame = frame.with_columns(
        pl.when(pl.int_range(pl.len()).is_in([7, 8, n - 1])).then(np.inf).otherwise("y").alias("holes"),
        pl.when(pl.int_range(pl.len()) == 8).then(-np.inf).otherwise("y").alias("minus"),
    )
    frame = pl.concat([frame[: n // 3], frame[n // 3 :]], rechunk=False)
    assert frame["y"].n_chunks() == 2
    domain = np.where(np.arange(n) < n // 2, 0, 1)
    design = SurveyDesign.from_frame(frame, weight="w", stages=["psu"])
    for order in (np.arange(n), rng.permutation(n)):
        mixed = frame[order]
        own = SurveyDesign.from_frame(mixed, weight="w", stages=["psu"])
        cells = reduce_to_cells(mixed, own, measures=["y", "holes", "minus"], domain=domain[order], n_domains=2)
        rows = domain_means(design, column(frame, "y", "holes", "minus"), domain=domain, n_domains=2)
        assert_same(cells.estimates(), rows)
        assert cells.estimates().n.sum(axis=0).tolist() == [n, n - 3, n - 1]


def test_cells_come_back_from_their_table() -> None:
    frame = survey(11)
    design, domain = design_of(frame, "average", in_domain=True), frame["d"].to_numpy()
    for measures, effects in ((["whole", "some"], True), (["whole", "x"], False), (["some"], False)):
        cells = reduce_to_cells(
            frame, design, measures=measures, domain=domain, n_domains=3, with_design_effects=effects
        )
        stored = Cells.from_frame(cells.to_frame(), n_domains=3, lonely_psu="average", lonely_psu_in_domain=True)
        assert stored.measures == tuple(measures)
        assert_same(stored.estimates(), cells.estimates(), FIELDS + DEFFS)
        assert_same(stored.totals(), cells.totals(), FIELDS)


def test_a_mean_by_hand() -> None:
    """PSUs (0, 1) and (1, 1), weights 1: p = 3/4, z = (A - pB)/4 = -1/8 and 1/8, V = 2/1 (2/64)."""
    frame = pl.DataFrame({"psu": ["a", "a", "b", "b"], "w": [1.0] * 4, "y": [0, 1, 1, 1]})
    design = SurveyDesign.from_frame(frame, weight="w", stages=["psu"])
    result = reduce_to_cells(frame, design, measures=["y"], domain=np.zeros(4, dtype=np.int64), n_domains=1).estimates()
    assert result.estimate[0, 0] == 0.75
    assert result.variance[0, 0] == pytest.approx(2 * 2 / 64, rel=1e-15)
    assert (result.n[0, 0], result.df[0, 0]) == (4, 1)


def test_calibrated_weights_are_refused() -> None:
    frame = pl.DataFrame({"g": ["a", "b"], "w": [1.0, 2.0], "y": [0, 1]})
    design = SurveyDesign.from_frame(frame, weight="w", calibration_group="g")
    with pytest.raises(AxstatError, match="cells_calibrated"):
        reduce_to_cells(frame, design, measures=["y"], domain=np.zeros(2, dtype=np.int64), n_domains=1)
