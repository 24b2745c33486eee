"""Times raking beside a bare group-by and a rewrite of the weights, to `reports/benchmarks/weighting.json`.

Run by `make bench`. Made-up data: weights to be raked to three margins of 26, 10 and 5 levels, labels as whole numbers
and as text. The yardstick is DuckDB: the sum of weights by the same three columns, then a table of the weights written
anew; the data lie in DuckDB's own table, its best case, and in the polars frame for `rake`. The ways of a case are
taken in turn, in a process of its own; the ratio is that of the fastest rounds, because other work only ever adds time.
R's `rake` runs where R and its survey package are installed; svy and balance where they are in the environment
`data/bench-peers` that `make bench-peers` makes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import peers
import polars as pl

from pipelines.stats.calibration import calibrate, rake
from pipelines.stats.mixed_margins import margin_terms
from pipelines.stats.reach import narrowest_bounds
from pipelines.stats.trimming import iqr_limits, trim_and_calibrate

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "weighting.json"
SIZES = {"12.5k": 12_500, "100k": 100_000, "1M": 1_000_000}
LEVELS = {"a": 26, "b": 10, "c": 5}
KINDS = {"numbers": pl.Int64, "text": pl.String}


def made_up(n: int, kind: str) -> pl.DataFrame:
    """n rows in no order: three columns of labels, the weight, and the weight whose sums are the margins."""
    rng = np.random.default_rng(20261124)
    labels = {name: rng.integers(0, size, n) for name, size in LEVELS.items()}
    weight = rng.uniform(1.0, 50.0, n)
    target = weight * rng.uniform(0.7, 1.4, n) * (1 + labels["a"] / 50) * (1 - labels["b"] / 30)
    frame = pl.DataFrame({**labels, "w": weight, "target": target, "emp": rng.lognormal(3, 0.8, n)})
    return frame.with_columns(pl.col(*LEVELS).cast(KINDS[kind]))


def margins_of(frame: pl.DataFrame) -> dict[str, dict[str, float]]:
    """The totals of each margin."""
    return {
        name: dict(frame.group_by(pl.col(name).cast(pl.String)).agg(pl.col("target").sum()).iter_rows())
        for name in LEVELS
    }


def timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def measure_in_process(folder: Path, rounds: int) -> dict[str, object]:
    """Figures of one data set; run in a process of its own."""
    frame = pl.read_parquet(folder / "rows.parquet")
    margins, weight = margins_of(frame), frame["w"].to_numpy()
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    connection.register("frame", frame.to_arrow())
    connection.execute("create table rows as select * from frame")
    columns = ", ".join(LEVELS)
    ways: dict[str, Callable[[], object]] = {
        "group_by": lambda: connection.sql(f"select {columns}, sum(w) from rows group by {columns}").fetchall(),
        "rewrite": lambda: connection.execute("create or replace table weights as select w * 1.1 as w from rows"),
        "rake": lambda: rake(weight, frame, margins),
    }
    seconds = timed(ways, rounds)
    raked = rake(weight, frame, margins)
    assert raked.largest_distance_after <= 1e-9
    best = {name: min(values) for name, values in seconds.items()}
    found: dict[str, object] = {
        "seconds": {name: float(f"{median(values):.4g}") for name, values in seconds.items()},
        "fastest": {name: float(f"{value:.4g}") for name, value in best.items()},
        "rake_times_group_by_and_rewrite": round(best["rake"] / (best["group_by"] + best["rewrite"]), 2),
        "sweeps": raked.iterations,
    }
    if frame.height == SIZES["12.5k"]:
        emp = float(frame["emp"].to_numpy() @ frame["target"].to_numpy())
        terms = margin_terms(weight, frame, margins, {"emp": emp})
        more = timed(
            {
                "linear": lambda: calibrate(weight, terms.matrix, terms.totals, drop_redundant=True),
                "raking": lambda: calibrate(weight, terms.matrix, terms.totals, distance="raking", drop_redundant=True),
                "trim_and_calibrate": lambda: trim_and_calibrate(
                    weight, terms.matrix, terms.totals, lambda w: iqr_limits(w, 1.5), drop_redundant=True
                ),
            },
            rounds,
        )
        started = time.perf_counter()
        narrowest = narrowest_bounds(weight, terms.matrix, terms.totals, drop_redundant=True)
        found["with_employment"] = {
            **{name: float(f"{median(values):.4g}") for name, values in more.items()},
            "narrowest_bounds": round(time.perf_counter() - started, 3),
            "bounds": [round(narrowest.low, 4), round(narrowest.high, 4)],
        }
    return found


R_SCRIPT = """
suppressMessages(library(survey))
rows <- read.csv(commandArgs(TRUE)[1])
pop <- function(name) {
  sums <- tapply(rows$target, rows[[name]], sum)
  setNames(data.frame(as.integer(names(sums)), as.vector(sums)), c(name, "Freq"))
}
margins <- list(pop("a"), pop("b"), pop("c"))
design <- svydesign(ids = ~1, weights = ~w, data = rows)
started <- proc.time()[["elapsed"]]
raked <- rake(design, list(~a, ~b, ~c), margins, control = list(epsilon = 1e-9, maxit = 500, verbose = FALSE))
cat(proc.time()[["elapsed"]] - started)
"""
SVY_SCRIPT = """
import sys, time
import polars as pl
import svy
rows = pl.read_csv(sys.argv[1])
controls = {name: dict(rows.group_by(name).agg(pl.col("target").sum()).iter_rows()) for name in ("a", "b", "c")}
started = time.perf_counter()
sample = svy.Sample(rows, svy.Design(wgt="w"))
sample.weighting.rake(controls=controls)
print(time.perf_counter() - started)
"""
BALANCE_SCRIPT = """
import sys, time
import pandas as pd
from balance.weighting_methods.rake import rake
rows = pd.read_csv(sys.argv[1], dtype={"a": str, "b": str, "c": str})
labels = rows[["a", "b", "c"]]
started = time.perf_counter()
rake(sample_df=labels, sample_weights=rows["w"], target_df=labels, target_weights=rows["target"])
print(time.perf_counter() - started)
"""


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        sys.stdout.write(json.dumps(measure_in_process(options.folder, options.rounds)))
        return
    figures: dict[str, object] = {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "levels": list(LEVELS.values()),
    }
    for size in options.sizes:
        for kind in KINDS:
            frame = made_up(SIZES[size], kind)
            with tempfile.TemporaryDirectory() as folder:
                frame.write_parquet(Path(folder) / "rows.parquet")
                command = [sys.executable, __file__, "--folder", folder, "--rounds", str(options.rounds)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                here = dict(json.loads(done.stdout))
            if kind == "numbers" and not options.no_peers:
                for name, interpreter, script in (
                    ("r_survey", "Rscript", R_SCRIPT),
                    ("svy", peers.PYTHON, SVY_SCRIPT),
                    ("balance", peers.PYTHON, BALANCE_SCRIPT),
                ):
                    here[f"{name}_seconds"] = peers.measure_peer(interpreter, script, frame)
            figures[f"{size}_{kind}"] = here
            sys.stdout.write(f"{size} {kind}: {json.dumps(here)}\n")
            sys.stdout.flush()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
