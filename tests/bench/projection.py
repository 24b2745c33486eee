"""How well P(target) holds, to `reports/benchmarks/projection.*`.

Run from the top of a checkout by `make coverage`; takes some minutes. The processes and seeds are those of
tests/simulation/test_projection.py.
"""

import json
import sys
from pathlib import Path

import polars as pl

from tests.simulation import growth_processes
from tests.simulation.test_projection import HEADLINE, SEEDS, SERIES

RESULTS = Path(__file__).parents[2] / "reports" / "benchmarks"


def main() -> None:
    """Simulate every process and seed, save the scores and the reliability diagram."""
    tables = []
    for process in growth_processes.PROCESSES:
        for seed in SEEDS:
            tables.append(growth_processes.judged(process, seed=seed, number=SERIES))
            sys.stdout.write(f"{process} {seed}\n")
            sys.stdout.flush()
    judged = pl.concat(tables)
    scores, diagram = growth_processes.scores(judged), growth_processes.reliability(judged.filter(HEADLINE))
    figures = {
        "seeds": list(SEEDS),
        "series_of_each_process_and_seed": SERIES,
        "scores": _rounded(scores).to_dicts(),
        "reliability_of_the_headline": _rounded(diagram).to_dicts(),
    }
    (RESULTS / "projection.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "projection.md").write_text(report(_rounded(scores), _rounded(diagram)), encoding="utf-8")
    sys.stdout.write(f"{RESULTS / 'projection.md'}\n")


def report(scores: pl.DataFrame, diagram: pl.DataFrame) -> str:
    """The readable page."""
    parts = [
        "# P(target) against what then happened",
        "Written by `make coverage` (`tests/bench/projection.py`); not edited by hand. Made-up series of true rates to "
        f"2030, {SERIES:,} of each process for each of the seeds {', '.join(str(seed) for seed in SEEDS)}, surveyed "
        "with an effective size of 2,000 and projected as the pipeline does it with 3, 4 and 6 waves known; the target "
        "is 70 % in 2030. The processes (`tests/simulation/growth_processes.py`): `as_assumed` is what the headline "
        "assumes; `random_walk`, `ceiling` (of 90 %) and `gompertz` are not.",
        "## Scores",
        "`brier` is the mean of (P - outcome)², `brier_of_share` what always giving the share reached would score; "
        "`coverage` is the share of true rates of 2030 inside the 95 % prediction interval; `mean_error_pp` is the "
        "true rate less the projected one.",
        markdown(scores.filter(pl.col("variant") == "main").drop("variant")),
        "## Reliability diagram of the headline",
        "`deviation` is the share reached less the mean probability of the bin: below 0 the projection promised too "
        "much.",
        markdown(diagram.drop("model", "variant")),
        "## Other process deviations and ceilings",
        markdown(scores.filter(pl.col("variant") != "main")),
    ]
    return "\n\n".join(parts) + "\n"


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col(pl.Float64).round(4))


def markdown(table: pl.DataFrame) -> str:
    """A pipe table."""
    rows = [table.columns, ["---"] * table.width, *table.rows()]
    return "\n".join("| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows)


if __name__ == "__main__":
    main()
