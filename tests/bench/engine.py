"""Times the estimation engine beside a bare group-by, to `reports/benchmarks/engine.json`.

Run by `make bench`. Made-up data: 260 strata, PSUs of 20 rows, 26 domains, 5 outcomes; every mean with its standard
error, degrees of freedom and interval. Domains of two kinds: "nested", an industry that strata lie in, so that a PSU
has one; "crossed", one at random in each row, so that a PSU has fourteen. Each case runs in a process of its own; the
figures of a size are taken in turn, the median of several rounds. R's survey and svy run where they are installed:
R on the path, svy in the environment `data/bench-peers` that `make bench-peers` makes.
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

from pipelines.stats.arrays import code_labels
from pipelines.stats.cells import Cells
from pipelines.stats.design import SurveyDesign
from pipelines.stats.intervals import Evidence, confidence_intervals
from pipelines.stats.linearization import DomainEstimates
from pipelines.stats.moments import Moments, summarise
from pipelines.stats.replication import ReplicateWeights

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "engine.json"
SIZES = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
KINDS = ("nested", "crossed")
STRATA, DOMAINS, OUTCOMES, PER_PSU, REPLICATES = 260, 26, 5, 20, 500
MEASURES = [f"y{k}" for k in range(OUTCOMES)]
GROUP_BY = (
    f"select domain, {', '.join(f'sum(w * {y}) / sum(w) as {y}' for y in MEASURES)} from {{source}} group by domain"
)


def made_up(n: int, kind: str) -> pl.DataFrame:
    """n rows in the order of their design; at least two PSUs in each stratum."""
    rng = np.random.default_rng(20261124)
    psus = n // PER_PSU
    stratum = np.repeat(np.sort(np.arange(psus) % min(STRATA, psus // 2)), PER_PSU)
    domain = stratum % DOMAINS if kind == "nested" else rng.integers(0, DOMAINS, n)
    outcomes = {y: (rng.random(n) < 0.15 + 0.1 * k).astype(np.float64) for k, y in enumerate(MEASURES)}
    return pl.DataFrame(
        {
            "stratum": stratum,
            "psu": np.repeat(np.arange(psus), PER_PSU),
            "domain": domain,
            "w": rng.uniform(1.0, 50.0, n),
            **outcomes,
        }
    )


def with_intervals(result: DomainEstimates) -> DomainEstimates:
    """The estimates, after their intervals have been made."""
    seen = Evidence(
        estimate=result.estimate, variance=result.variance, df=result.df, n=result.n, kish_deff=result.kish_deff
    )
    assert np.isfinite(confidence_intervals(seen, method="xlogit").low).any()
    return result


def added_up(frame: pl.DataFrame) -> Moments | Cells:
    """The engine's first step: the design read and checked, the rows added up."""
    design = SurveyDesign.from_frame(frame, weight="w", strata="stratum", stages=["psu"])
    domain, known = code_labels(frame["domain"])
    return summarise(frame, design, measures=MEASURES, domain=domain, n_domains=len(known))


def estimate(frame: pl.DataFrame) -> DomainEstimates:
    """From a frame to estimates with intervals."""
    return with_intervals(added_up(frame).estimates())


def estimate_stored(table: pl.DataFrame, kind: type[Moments | Cells]) -> DomainEstimates:
    """From stored moments or cells to estimates with intervals."""
    n_domains = int(table["domain"][-1]) + 1
    return with_intervals(kind.from_frame(table, n_domains=n_domains, lonely_psu="fail").estimates())


def replicated(frame: pl.DataFrame, factor: np.ndarray) -> np.ndarray:
    """From a frame to the standard errors of all means, from replicate factors of the PSUs."""
    design = SurveyDesign.from_frame(frame, weight="w", strata="stratum", stages=["psu"])
    domain, known = code_labels(frame["domain"])
    weights = ReplicateWeights.from_factors(design.weight, design.psu, factor, scale=1 / REPLICATES)
    columns = [*(frame[y] for y in MEASURES), np.ones(frame.height)]
    whole, made = weights.domain_totals(columns, domain, len(known))
    return np.sqrt(weights.variance(made[:, :, :-1] / made[:, :, -1:], whole[:, :-1] / whole[:, -1:]))


def memory_mib(name: str) -> float:
    """A figure of this process's status, such as VmRSS or VmHWM (the largest VmRSS)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def times_in_process(folder: Path, rounds: int) -> dict[str, object]:
    """Figures of one data set; run in a process of its own."""
    parquet, stored = folder / "rows.parquet", folder / "stored.parquet"
    frame, connection = in_memory(parquet)
    chunked = pl.read_parquet(parquet)
    summary = added_up(frame)
    summary.to_frame().write_parquet(stored)
    table = pl.read_parquet(stored)
    return {
        **taken_in_turn(
            {
                "group_by": lambda: connection.sql(GROUP_BY.format(source="rows")).fetchall(),
                "engine_memory": lambda: estimate(frame),
                "engine_memory_chunked": lambda: estimate(chunked),
                "engine_parquet": lambda: estimate(pl.read_parquet(parquet)),
                "group_by_parquet": lambda: connection.sql(GROUP_BY.format(source=f"'{parquet}'")).fetchall(),
                "engine_stored": lambda: estimate_stored(table, type(summary)),
            },
            rounds,
        ),
        "stored": f"{type(summary).__name__.lower()}, {table.height} rows",
    }


def replicates_in_process(folder: Path, rounds: int) -> dict[str, object]:
    """Figures of replicates; in a process of its own, which holds their factors, three times the data."""
    frame, connection = in_memory(folder / "rows.parquet")
    factor = np.random.default_rng(7).poisson(1.0, (frame.height // PER_PSU, REPLICATES)).astype(np.float64)
    return taken_in_turn(
        {
            "group_by": lambda: connection.sql(GROUP_BY.format(source="rows")).fetchall(),
            "engine_replicates": lambda: replicated(frame, factor),
        },
        rounds,
    )


def in_memory(parquet: Path) -> tuple[pl.DataFrame, duckdb.DuckDBPyConnection]:
    """The rows in one piece, and a connection that knows them."""
    frame = pl.read_parquet(parquet).rechunk()
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    connection.register("rows", frame.to_arrow())
    return frame, connection


def taken_in_turn(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, object]:
    """Median seconds of the ways, and those of the engine beside the group-by of the same round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    middle = {name: median(values) for name, values in seconds.items()}
    return {
        "seconds": {name: float(f"{value:.4g}") for name, value in middle.items()},
        "times_group_by": {
            name: round(median(np.array(seconds[name]) / np.array(seconds["group_by"])), 2)
            for name in ways
            if name.startswith("engine")
        },
    }


def memory_in_process(folder: Path, rounds: int) -> dict[str, object]:
    """Memory of the data, and with it what the engine adds at its largest."""
    estimate(made_up(SIZES["100k"], "nested"))  # what the libraries take once
    frame = pl.read_parquet(folder / "rows.parquet")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of reading
    before = memory_mib("VmRSS")
    estimate(frame)
    data = frame.estimated_size("mb")
    peak = data + memory_mib("VmHWM") - before
    return {"data_mib": round(data, 1), "peak_mib": round(peak, 1), "times_data": round(peak / data, 2)}


R_SCRIPT = """
suppressMessages(library(survey))
rows <- read.csv(commandArgs(TRUE)[1])
started <- proc.time()[["elapsed"]]
design <- svydesign(ids = ~psu, strata = ~stratum, weights = ~w, data = rows)
result <- svyby(~y0 + y1 + y2 + y3 + y4, ~domain, design, svymean)
invisible(confint(result, df = degf(design)))
cat(proc.time()[["elapsed"]] - started)
"""
SVY_SCRIPT = """
import sys, time
import polars as pl
import svy
rows = pl.read_csv(sys.argv[1])
started = time.perf_counter()
sample = svy.Sample(rows, svy.Design(stratum="stratum", psu="psu", wgt="w"))
for y in ("y0", "y1", "y2", "y3", "y4"):
    sample.estimation.mean(y, by="domain")
print(time.perf_counter() - started)
"""


STEPS = {"times": times_in_process, "memory": memory_in_process, "replicates": replicates_in_process}


def in_child(step: str, folder: Path, rounds: int) -> dict[str, object]:
    """Run a step of this script in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def command_seconds(folder: Path, rounds: int) -> float:
    """Seconds from start to end of `axstat estimate` on the rows of a folder, each time a process of its own."""
    estimates = "\n".join(f"  - {{id: {y}, statistic: mean, measure: {y}, by: [domain]}}" for y in MEASURES)
    specification = folder / "estimates.yaml"
    specification.write_text(
        f"data: rows.parquet\ndesign: {{strata: stratum, stages: [psu], weight: w}}\nestimates:\n{estimates}\n",
        encoding="utf-8",
    )
    out = folder / "estimates.csv"
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        command = [sys.executable, "-m", "pipelines.cli", "estimate", str(specification), "--out", str(out)]
        subprocess.run(command, check=True, cwd=ROOT)
        seconds.append(time.perf_counter() - started)
    assert pl.read_csv(out).height == DOMAINS * OUTCOMES
    return round(median(seconds), 2)


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        sys.stdout.write(json.dumps(STEPS[options.step](options.folder, options.rounds)))
        return
    figures: dict[str, object] = {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "rows_per_psu": PER_PSU,
        "strata": STRATA,
        "domains": DOMAINS,
        "outcomes": OUTCOMES,
    }
    for size in options.sizes:
        for kind in KINDS:
            frame = made_up(SIZES[size], kind)
            rounds = options.rounds if SIZES[size] <= SIZES["1M"] else 3
            with tempfile.TemporaryDirectory() as folder:
                frame.write_parquet(Path(folder) / "rows.parquet")
                here = in_child("times", Path(folder), rounds)
                here["memory"] = in_child("memory", Path(folder), rounds)
                if SIZES[size] == SIZES["1M"]:
                    here["replicates"] = in_child("replicates", Path(folder), rounds)
                here["command_seconds"] = command_seconds(Path(folder), rounds)
            if kind == "nested" and not options.no_peers and SIZES[size] <= SIZES["1M"]:
                for name, interpreter, script in (
                    ("r_survey", "Rscript", R_SCRIPT),
                    ("svy", peers.PYTHON, SVY_SCRIPT),
                ):
                    here[f"{name}_seconds"] = peers.measure_peer(interpreter, script, frame)
            figures[f"{size}_{kind}"] = here
            sys.stdout.write(f"{size} {kind}: {json.dumps(here)}\n")
            sys.stdout.flush()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
