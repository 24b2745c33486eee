"""Times the replicates of one wave, to `reports/benchmarks/replicates.json`.

Run by `make bench`. Made-up data: 12,500 selected enterprises of 212,000 in 26 industries x 3 sizes x 5 regions, large
ones taken whole, a quarter not responding. Timed, 500 replicates each: drawing them with both chains, that is with
re-calibration twice and with all class factors made again once; rebuilding all weights from the stored tables; the
standard errors of all rates. In a process of its own, so that memory is that of the task. Beside it R's survey, where
it is installed, makes 500 bootstrap replicates of the units with a weight and post-stratifies them.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
from engine import memory_mib
from peers import measure_peer

from pipelines.stats.collapse import Coarsening
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.replicate_rates import compare_engines, replicate_rates
from pipelines.stats.replicate_weighting import ReplicateWeighting, draw_replicates
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import WeightingPlan, WeightingResult, weight_sample

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "replicates.json"
FRAME, SELECTED, REPLICATES, MEASURES = 212_000, 12_500, 500, 20
PARTS = ("industry", "size", "region")


def made_up() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Frame and sample file: a take-all size class of about 2 %, the others in proportion."""
    rng = np.random.default_rng(20261124)
    frame = pl.DataFrame(
        {
            "unit_id": [f"{number:06d}" for number in range(FRAME)],
            "industry": [f"i{code:02d}" for code in rng.integers(0, 26, FRAME)],
            "size": rng.choice(["10-49", "50-249", "250+"], FRAME, p=[0.86, 0.12, 0.02]),
            "region": [f"r{code}" for code in rng.integers(0, 5, FRAME)],
            "employment": np.round(rng.lognormal(3.5, 0.8, FRAME)).astype(np.int64),
            "prn": rng.random(FRAME),
        }
    ).with_columns(
        pl.concat_str(PARTS, separator="/").alias("selection_stratum"), (pl.col("size") == "250+").alias("take_all")
    )
    large = frame["take_all"].sum()
    share = (SELECTED - large) / (FRAME - large)
    stratum = pl.len().over("selection_stratum")
    wanted = pl.when("take_all").then(stratum).otherwise((share * stratum).round().clip(4, stratum))
    sample = (
        frame.with_columns(
            pl.col("prn").rank("ordinal").over("selection_stratum").alias("place"),
            wanted.alias("wanted"),
            (wanted / stratum).alias("inclusion_probability"),
        )
        .filter(pl.col("place") <= pl.col("wanted"))
        .sort("unit_id")
    )
    status = rng.choice(
        ["respondent", "eligible_nonrespondent", "unknown_eligibility", "out_of_scope"],
        sample.height,
        p=[0.72, 0.17, 0.08, 0.03],
    )
    return frame, sample.with_columns(pl.Series("status", status))


def plan() -> WeightingPlan:
    """Collapse rules like those of the enterprise survey."""
    coarser = (Coarsening("size", "without size"), Coarsening("industry", "without industry"))
    return WeightingPlan(
        strata=CollapseRule(PARTS, (Coarsening("region", "without region"), *coarser), min_respondents=2),
        classes=CollapseRule(("industry", "size"), coarser, min_respondents=20, max_factor=2.0),
        post_strata=CollapseRule(("industry", "size"), coarser, min_respondents=10),
    )


def wave_of(result: WeightingResult, frame: pl.DataFrame) -> Wave:
    """Respondents answer MEASURES questions, one in fifty not."""
    rng = np.random.default_rng(7)
    units = result.weights.join(frame.select("unit_id", *PARTS, "employment"), on="unit_id", how="left")
    ids = units.filter(pl.col("status") == "respondent")["unit_id"]
    answers = []
    for number in range(MEASURES):
        value = (rng.random(ids.len()) < 0.05 + 0.03 * number).astype(np.float64)
        answered = rng.random(ids.len()) < 0.98
        answers.append(
            pl.DataFrame(
                {
                    "unit_id": ids,
                    "field": "",
                    "measure": f"m{number:02d}",
                    "value": np.where(answered, value, np.nan),
                    "answer_status": np.where(answered, "answered", "dont_know"),
                }
            ).with_columns(pl.col("value").fill_nan(None))
        )
    return Wave.build(units, pl.concat(answers), frame=frame)


def measure_in_process(rounds: int) -> dict[str, object]:
    """Median seconds of each step over the rounds after a first one, and the memory that the task adds."""
    frame, sample = made_up()
    result = weight_sample(sample, frame, plan=plan())
    wave = wave_of(result, frame)
    domains = [
        Domain("total"),
        *(Domain(name, (name,)) for name in PARTS),
        Domain("industry*size", ("industry", "size")),
        Domain("industry*region", ("industry", "region")),
    ]
    measures = [f"m{number:02d}" for number in range(MEASURES)]
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mib("VmRSS")
    drawn = draw_replicates(result, survey="bench", wave=2025, replicates=REPLICATES)
    frames = drawn.to_frames()
    table = compare_engines(replicate_rates(wave, drawn, domains=domains, measures=measures))
    memory = memory_mib("VmHWM") - before
    ways: dict[str, Callable[[], object]] = {
        "draw_both_chains": lambda: draw_replicates(result, survey="bench", wave=2025, replicates=REPLICATES),
        "rebuild_held": lambda: [None for _ in ReplicateWeighting.from_frames(frames).blocks("held")],
        "rebuild_rerun": lambda: [None for _ in ReplicateWeighting.from_frames(frames).blocks("rerun")],
        "rates": lambda: replicate_rates(wave, drawn, domains=domains, measures=measures),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {
        "selected": result.selected.height,
        "with_weight": result.weights.height,
        "classes": len(drawn.classes),
        "post_strata": len(drawn.post_strata),
        "rates": table.height,
        "status": dict(table["status"].value_counts().sort("status").iter_rows()),
        "seconds": {name: float(f"{median(values):.3g}") for name, values in seconds.items()},
        "stored_mib": round(sum(part.estimated_size("mb") for part in frames.values()), 1),
        "columns_would_be_mib": round(2 * result.weights.height * REPLICATES * 8 / 2**20, 1),
        "memory_mib": round(memory, 1),
    }


R_SCRIPT = f"""
suppressMessages(library(survey))
rows <- read.csv(commandArgs(TRUE)[1])
totals <- aggregate(list(Freq = rows$weight), list(post_stratum = rows$post_stratum), sum)
started <- proc.time()[["elapsed"]]
design <- svydesign(ids = ~1, strata = ~variance_stratum, weights = ~before, fpc = ~stratum_population, data = rows)
made <- as.svrepdesign(design, type = "mrbbootstrap", replicates = {REPLICATES}, compress = FALSE)
made <- postStratify(made, ~post_stratum, totals)
cat(proc.time()[["elapsed"]] - started)
"""


def replicates_case(rounds: int, *, peers: bool) -> dict[str, object]:
    """The figures of a process of its own, and R's."""
    command = [sys.executable, __file__, "--step", "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures = dict(json.loads(done.stdout))
    if peers:
        frame, sample = made_up()
        weights = weight_sample(sample, frame, plan=plan()).weights
        before = pl.col("base_weight") * pl.col("eligibility_factor") * pl.col("nonresponse_factor")
        rows = weights.select(
            "variance_stratum", "stratum_population", "post_stratum", before.alias("before"), "weight"
        )
        figures["r_survey_seconds"] = measure_peer("Rscript", R_SCRIPT, rows)
    return figures


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        sys.stdout.write(json.dumps(measure_in_process(options.rounds)))
        return
    figures = {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "replicates": REPLICATES,
        **replicates_case(options.rounds, peers=not options.no_peers),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
