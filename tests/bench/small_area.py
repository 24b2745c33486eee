"""Errors of model-based rates of small sectors, to `reports/benchmarks/small_area.*`.

Run from the top of a checkout by `make coverage`; takes a quarter of an hour. The simulation and its seeds are those of
tests/simulation/test_small_area.py.
"""

import json
import sys
from pathlib import Path

import polars as pl

from pipelines.contracts.library import load_library
from tests.simulation import small_sectors
from tests.simulation.test_small_area import REPLICATES, SAMPLES, SEEDS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks"


def main() -> None:
    """Simulate every seed and save."""
    library = load_library(ROOT / "data_contracts")
    countries, summaries, sectors = [], [], []
    for seed in SEEDS:
        made = small_sectors.country(library, seed)
        draws = small_sectors.simulate(made, seed=seed, samples=SAMPLES, replicates=REPLICATES)
        of_seed = [pl.lit(seed).alias("seed"), pl.lit(round(made.r_squared, 3)).alias("r_squared")]
        found = small_sectors.by_sector(draws)
        sectors.append(found.select(*of_seed[:1], pl.all()))
        summaries.append(small_sectors.summary(found).select(*of_seed, pl.all()))
        zero = draws.group_by("choice", "sample").agg(pl.col("sigma2_v_zero").first())
        countries.append(zero.group_by("choice").agg(of_seed[0], pl.col("sigma2_v_zero").mean()).sort("choice"))
        sys.stdout.write(f"seed {seed}\n{summaries[-1]}\n")
        sys.stdout.flush()
    figures = {
        "samples": SAMPLES,
        "bootstrap_replicates": REPLICATES,
        "small_sectors": _rounded(summaries),
        "samples_with_sigma2_v_zero": _rounded(countries),
        "sectors": _rounded(sectors),
    }
    (RESULTS / "small_area.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _rounded(tables: list[pl.DataFrame]) -> list[dict[str, object]]:
    return pl.concat(tables).with_columns(pl.col(pl.Float64).round(4)).to_dicts()


if __name__ == "__main__":
    main()
