"""Times the step from microdata to cells on DuckDB, polars and Spark, to `reports/benchmarks/cells.json`.

Run by `make bench`. Made-up data in Parquet: 260 strata, primary units of 5 rows, 26 domains that units lie in, a 0/1
measure of which some values are missing. Two steps, as a sample is one of clusters or of elements: sums by unit, and
sums by value, each with the moments that estimates are made of. The engines work on the same files, in turn, in one
run, and their moments must agree to 1e-9. DuckDB and Spark run the statements of `sql/cells/`; polars has the same sums
written in its own words.

`--large` instead runs the step once on 100 million rows by DuckDB with a limit of 2 GB, in a process of its own, and
holds means and standard errors against those that numpy makes of all units in memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.settings import Settings, load_settings
from pipelines.stats.stratum_table import StratumTable
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.engines.engine import CellMaker, open_cells
from pipelines.warehouse.engines.microdata import Microdata

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "cells.json"
SIZES = {"1M": 1_000_000, "10M": 10_000_000, "50M": 50_000_000}
LARGE, LARGE_MEMORY = 100_000_000, "2GB"
STRATA, DOMAINS, PER_UNIT, CHUNK = 260, 26, 5, 5_000_000
MEMORY = "4GB"
STEPS = {"sums_by_unit": "cells.unit_moments", "sums_by_value": "cells.value_moments"}
KEYS = ["stratum", "domain"]
TOLERANCE = 1e-9


def chunks(n: int) -> Iterator[pl.DataFrame]:
    """n rows a chunk at a time: a unit is in one chunk, a stratum and a domain are in all."""
    for number, first in enumerate(range(0, n, CHUNK)):
        rng = np.random.default_rng([20261130, number])
        size = min(CHUNK, n - first)
        unit = np.arange(first, first + size) // PER_UNIT
        stratum = unit % STRATA
        y = (rng.random(size) < 0.2 + 0.01 * (stratum % 10)).astype(np.float64)
        y[rng.random(size) < 0.02] = np.nan
        yield pl.DataFrame(
            {
                "stratum": stratum,
                "unit": unit,
                "region": unit // STRATA % DOMAINS,
                "w": rng.uniform(1.0, 50.0, size),
                "y": pl.Series(y).fill_nan(None),
            }
        )


def write(folder: Path, n: int) -> list[Path]:
    """The rows as Parquet files."""
    files = []
    for number, chunk in enumerate(chunks(n)):
        files.append(folder / f"part-{number:03}.parquet")
        chunk.write_parquet(files[-1])
    return files


def microdata(files: Sequence[Path]) -> Microdata:
    """Means of y by region."""
    types = dict(pl.read_parquet_schema(files[0]))
    return Microdata(types=types, weight="w", strata="stratum", unit="unit", by=("region",), y="y")


def polars_moments(files: Sequence[Path], step: str) -> pl.DataFrame:
    """The moments by polars, rows streamed from the files."""
    used, w, y = pl.col("y").is_not_null(), pl.col("w"), pl.col("y").fill_null(0.0)
    rows = pl.scan_parquet(list(files)).rename({"region": "domain"})
    acting = pl.when(used).then(w).otherwise(0.0)
    if step == "sums_by_unit":
        sums = rows.group_by("stratum", "unit", "domain").agg(
            n=used.sum(),
            n_missing=(~used).sum(),
            weight=acting.sum(),
            top=(acting * y).sum(),
            bottom=acting.sum(),
            bottom_squares=acting.pow(2).sum(),
            row_yy=(acting * y * y).sum(),
        )
        sums = sums.collect(engine="streaming").lazy()
        about = sums.group_by("domain").agg(about=pl.col("top").sum() / pl.col("bottom").sum())
        top, bottom = pl.col("top") - pl.col("about") * pl.col("bottom"), pl.col("bottom")
        made = (
            sums.join(about, on="domain")
            .group_by(KEYS)
            .agg(
                about=pl.col("about").max(),
                n=pl.col("n").sum(),
                n_missing=pl.col("n_missing").sum(),
                units=(pl.col("n") > 0).sum(),
                weight=pl.col("weight").sum(),
                top=top.sum(),
                top_top=top.pow(2).sum(),
                top_bottom=(top * bottom).sum(),
                bottom_bottom=bottom.pow(2).sum(),
                row_bottom_bottom=pl.col("bottom_squares").sum(),
            )
        )
    else:
        sums = rows.group_by("stratum", "domain", "y").agg(n=pl.len(), weight=w.sum(), squares=w.pow(2).sum())
        sums = sums.collect(engine="streaming").lazy()
        known = sums.filter(pl.col("y").is_not_null())
        about = known.group_by("domain").agg(about=(pl.col("weight") * pl.col("y")).sum() / pl.col("weight").sum())
        away = pl.col("y") - pl.col("about")
        made = (
            known.join(about, on="domain")
            .group_by(KEYS)
            .agg(
                about=pl.col("about").max(),
                n=pl.col("n").sum(),
                units=pl.col("n").sum(),
                weight=pl.col("weight").sum(),
                top=(pl.col("weight") * away).sum(),
                top_top=(pl.col("squares") * away.pow(2)).sum(),
                top_bottom=(pl.col("squares") * away).sum(),
                bottom_bottom=pl.col("squares").sum(),
                row_bottom_bottom=pl.col("squares").sum(),
            )
        )
    return made.collect()


def differ(one: pl.DataFrame, other: pl.DataFrame) -> float:
    """The largest difference of two tables of moments, relative to the column's size in its row's domain."""
    columns = [name for name in one.columns if name in other.columns and name not in KEYS]
    pair = one.sort(KEYS), other.sort(KEYS)
    assert pair[0].select(KEYS).equals(pair[1].select(KEYS))
    worst = 0.0
    for name in columns:
        a, b = (table[name].cast(pl.Float64).to_numpy() for table in pair)
        # Sums of deviations are near 0: they are measured by the deviations
        scale = {"top": pair[0]["weight"].to_numpy(), "top_bottom": pair[0]["bottom_bottom"].to_numpy()}
        worst = max(worst, float(np.max(np.abs(a - b) / np.maximum(scale.get(name, np.abs(a)), 1e-300))))
    return worst


def settings(home: str, engine: str, memory: str) -> Settings:
    """Those of a data home in a folder that goes away."""
    return load_settings({"AXSTAT_HOME": home, "AXSTAT_ENGINE": engine, "AXSTAT_MEMORY_LIMIT": memory})


def compare(n: int, rounds: int, engines: Sequence[str]) -> dict[str, object]:
    """Seconds of each engine and step on n rows, the median of several rounds in turn."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="axstat-cells-"))
        files = write(Path(home), n)
        catalogue, asked = SqlCatalogue(ROOT / "sql"), microdata(files)
        makers: dict[str, CellMaker] = {}
        said: dict[str, object] = {}
        for engine in engines:
            try:
                makers[engine] = stack.enter_context(open_cells(settings(home, engine, MEMORY), catalogue, files))
            except AxstatError as error:
                said[engine] = error.code
        found: dict[str, object] = {"parquet_mib": round(sum(file.stat().st_size for file in files) / 2**20), **said}
        for step, statement in STEPS.items():
            ways: dict[str, Callable[[], pl.DataFrame]] = {
                name: partial(maker.cells, statement, asked) for name, maker in makers.items()
            }
            ways["polars"] = partial(polars_moments, files, step)
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            made: dict[str, pl.DataFrame] = {}
            for _ in range(rounds):
                for name, way in ways.items():
                    started = time.perf_counter()
                    made[name] = way()
                    seconds[name].append(time.perf_counter() - started)
            differences = {name: differ(made["duckdb"], table) for name, table in made.items() if name != "duckdb"}
            assert max(differences.values()) < TOLERANCE, differences
            found[step] = {
                "seconds": {name: round(median(values), 2) for name, values in seconds.items()},
                "largest_difference_from_duckdb": {name: float(f"{value:.1e}") for name, value in differences.items()},
            }
        return found


def growth(figures: dict[str, Any], small: str, large: str) -> dict[str, dict[str, float]]:
    """Seconds a row at the larger size over those at the smaller: 1 is linear growth."""
    times = SIZES[large] / SIZES[small]
    return {
        step: {
            name: round(seconds / times / figures[small][step]["seconds"][name], 2)
            for name, seconds in figures[large][step]["seconds"].items()
        }
        for step in STEPS
    }


def large_in_process(home: Path) -> dict[str, object]:
    """100 million rows with a limit of 2 GB."""
    files = sorted(home.glob("*.parquet"))
    spilled = 0
    done = threading.Event()
    with open_cells(settings(str(home), "duckdb", LARGE_MEMORY), SqlCatalogue(ROOT / "sql"), files) as maker:

        def watch() -> None:
            nonlocal spilled
            while not done.wait(0.2):
                spilled = max(spilled, sum(file.stat().st_size for file in home.glob("cells/spill/*/*")))

        watcher = threading.Thread(target=watch)
        watcher.start()
        asked, seconds, tables = microdata(files), {}, {}
        try:
            for name in ("cells.design_strata", *STEPS.values()):
                started = time.perf_counter()
                tables[name] = maker.cells(name, asked)
                seconds[name] = round(time.perf_counter() - started, 1)
        finally:
            done.set()
            watcher.join()
    estimates: dict[str, object] = {}
    for step, name in STEPS.items():
        clustered = step == "sums_by_unit"
        strata = StratumTable.from_counts(
            tables["cells.design_strata"], clustered=clustered, with_population=False, lonely_psu="fail"
        )
        table = tables[name]
        moments = strata.moments(table, domain=table["domain"].to_numpy(), n_domains=DOMAINS, lonely_psu="fail")
        made = moments.estimates()
        estimates[step] = {"mean": made.estimate[:, 0].tolist(), "se": made.se[:, 0].tolist()}
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) / 2**20 for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"seconds": seconds, "spilled_gib": round(spilled / 2**30, 2), "peak_gib": round(peak, 2), "made": estimates}


def truth(n: int) -> dict[str, dict[str, np.ndarray]]:
    """Means and standard errors by domain, of clusters and of elements, by the textbook formula in memory."""
    tops, bottoms = [], []
    squares: dict[str, np.ndarray] = {}
    sums = np.zeros((2, STRATA * DOMAINS))  # of elements: w^2, w^2 y
    drawn = np.zeros(STRATA)
    linear = np.zeros((2, STRATA * DOMAINS))
    for chunk in chunks(n):
        w = np.where(chunk["y"].is_null().to_numpy(), 0.0, chunk["w"].to_numpy())
        wy = w * chunk["y"].fill_null(0.0).to_numpy()
        tops.append(wy.reshape(-1, PER_UNIT).sum(axis=1))
        bottoms.append(w.reshape(-1, PER_UNIT).sum(axis=1))
        group = (chunk["stratum"] * DOMAINS + chunk["region"]).to_numpy()
        for into, values in zip((*sums, *linear), (w * w, w * wy, w, wy), strict=True):
            into += np.bincount(group, weights=values, minlength=len(into))
        drawn += np.bincount(chunk["stratum"].to_numpy(), minlength=STRATA)
    top, bottom = np.concatenate(tops), np.concatenate(bottoms)
    unit = np.arange(len(top))
    stratum, domain = unit % STRATA, unit // STRATA % DOMAINS
    base = np.bincount(domain, weights=bottom, minlength=DOMAINS)
    mean = np.bincount(domain, weights=top, minlength=DOMAINS) / base
    score = top - mean[domain] * bottom
    group = stratum * DOMAINS + domain
    size = STRATA * DOMAINS
    first = np.bincount(group, weights=score, minlength=size).reshape(STRATA, DOMAINS)
    second = np.bincount(group, weights=score**2, minlength=size).reshape(STRATA, DOMAINS)
    units = np.bincount(stratum, minlength=STRATA)[:, None]
    squares["sums_by_unit"] = (units / (units - 1) * (second - first**2 / units)).sum(axis=0)
    # Elements: w (y - R), y 0 or 1, so that its square is w^2 (y (1 - 2R) + R^2)
    weight_squares, weight_squares_y = (each.reshape(STRATA, DOMAINS) for each in sums)
    second = weight_squares_y * (1 - 2 * mean) + weight_squares * mean**2
    first = linear[1].reshape(STRATA, DOMAINS) - mean * linear[0].reshape(STRATA, DOMAINS)
    rows = drawn[:, None]
    squares["sums_by_value"] = (rows / (rows - 1) * (second - first**2 / rows)).sum(axis=0)
    return {step: {"mean": mean, "se": np.sqrt(values) / base} for step, values in squares.items()}


def large(n: int) -> dict[str, object]:
    """The step on n rows out of core, and how far its numbers are from those in memory."""
    with tempfile.TemporaryDirectory(prefix="axstat-cells-") as folder:
        files = write(Path(folder), n)
        command = [sys.executable, __file__, "--step", "large", "--folder", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        size = sum(file.stat().st_size for file in files)
    wanted = truth(n)
    worst = {
        f"{step}_{name}": float(np.max(np.abs(np.array(found["made"][step][name]) / values - 1.0)))
        for step, figures in wanted.items()
        for name, values in figures.items()
    }
    assert max(worst.values()) < TOLERANCE, worst
    return {
        "rows": n,
        "memory_limit": LARGE_MEMORY,
        "parquet_gib": round(size / 2**30, 2),
        **{name: value for name, value in found.items() if name != "made"},
        "largest_relative_difference_from_memory": {name: float(f"{value:.1e}") for name, value in worst.items()},
    }


def main() -> None:
    """Measure and save; figures of the other kind stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--engines", nargs="*", default=["duckdb", "local[2]"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--rows", type=int, default=LARGE, help="rows of --large")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=["large"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        sys.stdout.write(json.dumps(large_in_process(options.folder)))
        return
    figures: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    if options.large:
        figures["out_of_core"] = large(options.rows)
        sys.stdout.write(f"out of core: {json.dumps(figures['out_of_core'])}\n")
    else:
        figures |= {"cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2), "rows_per_unit": PER_UNIT}
        figures |= {"strata": STRATA, "domains": DOMAINS}
        for size in options.sizes:
            figures[size] = compare(SIZES[size], options.rounds, options.engines)
            sys.stdout.write(f"{size}: {json.dumps(figures[size])}\n")
            sys.stdout.flush()
        if {"10M", "50M"} <= {*options.sizes}:
            figures["growth_10M_to_50M"] = growth(figures, "10M", "50M")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
