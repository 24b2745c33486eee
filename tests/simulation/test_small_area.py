"""Model-based rates of small sectors against direct ones, over 1,000 samples of made-up countries.

Belongs here: what is held. Does not belong here: the countries and the samples (small_sectors).

Written down before the first run: seeds 20260401, 20260402, 20260403, each a country of its own; the covariates of
the frame explain at most half of the true rates' spread (R² on the arcsine scale); sectors with fewer than 20
respondents to expect are small. With the covariates of the frame, over the small sectors:

- the average squared error is at most 75 % of the direct rates';
- the average coverage of the 95 % interval is 90 to 98 %: that of one sector is the coverage of one fixed effect, which
  a model of random effects promises on average only;
- the domains add up to the direct rate of the whole in every sample, to 1e-12.

Printed (pytest -s), also for the choice with the last wave's rates: the worst sector, claimed over true squared error,
lowest coverage.

Learned from the first run: with R² = 0.4 of the levels the covariates explained 0.545 of the realised rates of the
third country, more than the rule allows. The levels' R² is now 0.3 in all three, which makes the first rule harder to
meet (the ratios of the first run were 0.56, 0.53 and 0.46).
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.contracts.library import load_library
from tests.simulation import small_sectors

SEEDS = (20260401, 20260402, 20260403)
SAMPLES, REPLICATES = 1000, 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_small_sectors_are_closer_by_the_model(seed: int) -> None:
    library = load_library(Path(__file__).parents[2] / "data_contracts")
    made = small_sectors.country(library, seed)
    assert made.r_squared <= 0.5
    draws = small_sectors.simulate(made, seed=seed, samples=SAMPLES, replicates=REPLICATES)
    sums = draws.group_by("choice", "sample").agg(
        (pl.col("benchmark_weight") * pl.col("estimate")).sum().alias("modelled"),
        (pl.col("benchmark_weight") * pl.col("direct")).sum().alias("direct"),
    )
    np.testing.assert_allclose(sums["modelled"], sums["direct"], rtol=1e-12)
    summary = small_sectors.summary(small_sectors.by_sector(draws))
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=220, float_precision=3):
        sys.stdout.write(f"\nseed {seed}, R² of the frame's covariates {made.r_squared:.2f}\n{summary}\n")
    for row in summary.filter(pl.col("choice") == "of_the_frame").to_dicts():
        assert row["ratio"] <= 0.75
        assert 0.90 <= row["coverage"] <= 0.98


def test_a_sample_is_the_same_whoever_asks() -> None:
    """Two runs of one seed agree, and what is simulated is fit for its purpose."""
    library = load_library(Path(__file__).parents[2] / "data_contracts")
    made = small_sectors.country(library, SEEDS[0])
    draws = [small_sectors.simulate(made, seed=1, samples=50, replicates=4) for _ in range(2)]
    assert draws[0].equals(draws[1])
    assert draws[0].group_by("choice").agg(pl.col("sample").n_unique())["sample"].to_list() == [50, 50]
    assert (draws[0]["method"] == "model-based").all()
    assert made.truth.filter(pl.col("n") < small_sectors.SMALL).height >= 10
