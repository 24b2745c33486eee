"""Holds the published rates of whole synthetic countries against their truth, to `reports/benchmarks/coverage.*`.

Run by `make coverage`; takes several minutes. For each seed a country is made up and all its waves are run in a data
home of its own, thrown away afterwards; then every published `adoption_rate` of base `answered` is compared with the
truth, which is what that base estimates. The seeds were written down before the first run. The other base has no
truth: the made-up units know whether they adopt.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import polars as pl

SEEDS = (20260101, 20260202, 20260303)
HEADLINE_TYPES = ("total", "ax_total", "ax_industry", "public_sector")
HEADLINE_MEASURE = "ai_adoption"
KEY = ["survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting"]
GROUP = ["survey", "unit_weighting", "domain_type", "reliability"]
RESULTS = Path(__file__).parents[2] / "reports" / "benchmarks"


def published_rates(home: Path) -> pl.DataFrame:
    """mart.adoption_rate of the latest release, which holds all waves; base answered."""
    with duckdb.connect(str(home / "published" / "latest" / "axstat.duckdb"), read_only=True) as connection:
        return connection.sql("select * from mart.adoption_rate where base = 'answered'").pl()


def compared(home: Path, seed: int) -> pl.DataFrame:
    """Published estimates with their truth; ``covered`` is NULL where nothing was estimated."""
    truth = pl.read_parquet(home / "synthetic_truth" / "rates.parquet")
    joined = published_rates(home).join(truth.select(*KEY, "rate"), on=KEY, how="left")
    without = joined.filter(pl.col("rate").is_null() & pl.col("estimate").is_not_null())
    if without.height:
        raise ValueError(f"{without.height} published estimate(s) without a truth, e.g. {without.row(0)}")
    # Limits are published with 12 significant digits; a census equals its truth to that.
    return joined.select(
        pl.lit(seed).alias("seed"),
        *KEY,
        "n",
        "estimate",
        "se",
        "ci_low",
        "ci_high",
        "reliability",
        pl.col("rate").alias("truth"),
        pl.col("rate").is_between(pl.col("ci_low") - 1e-11, pl.col("ci_high") + 1e-11).alias("covered"),
    )


def coverage(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Intervals, share that holds the truth, and mean and standard deviation of (estimate - truth)/SE where SE > 0."""
    error = ((pl.col("estimate") - pl.col("truth")) / pl.col("se")).filter(pl.col("se") > 0)
    figures = [
        pl.col("covered").count().alias("intervals"),
        pl.col("covered").mean().round(4).alias("coverage"),
        error.mean().round(3).alias("mean_error_in_se"),
        error.std().round(3).alias("sd_error_in_se"),
    ]
    known = table.filter(pl.col("covered").is_not_null())
    return known.group_by(by).agg(figures).sort(by) if by else known.select(figures)


def main() -> None:
    """Make, run, compare, save."""
    axstat = str(Path(sys.executable).parent / "axstat")
    tables = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"AXSTAT_HOME": folder}
            for command in (["synth", "--seed", str(seed)], ["run", "--all"]):
                sys.stdout.write(f"seed {seed}: axstat {' '.join(command)}\n")
                sys.stdout.flush()
                subprocess.run([axstat, *command], env=environment, check=True, stdout=subprocess.DEVNULL)
            tables.append(compared(Path(folder), seed))
    table = pl.concat(tables)
    headline = table.filter(pl.col("domain_type").is_in(list(HEADLINE_TYPES)) & (pl.col("measure") == HEADLINE_MEASURE))
    groups = {
        "pooled": coverage(table, []),
        "by_survey_and_weighting": coverage(table, ["survey", "unit_weighting"]),
        "by_reliability": coverage(table, ["survey", "unit_weighting", "reliability"]),
        "by_group": coverage(table, GROUP),
        "headline": coverage(headline, ["survey", "unit_weighting", "domain_type"]),
    }
    missed = headline.filter(~pl.col("covered")).sort("seed", *KEY)
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures = {"seeds": list(SEEDS)} | {name: group.to_dicts() for name, group in groups.items()}
    figures["headline_misses"] = missed.to_dicts()
    (RESULTS / "coverage.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "coverage.md").write_text(report(groups, missed), encoding="utf-8")
    sys.stdout.write(f"{RESULTS / 'coverage.md'}\n")


def report(groups: dict[str, pl.DataFrame], missed: pl.DataFrame) -> str:
    """The readable page."""
    shown = missed.select(
        "seed",
        *[name for name in KEY if name != "measure"],
        *[pl.col(name).round(4) for name in ("estimate", "ci_low", "ci_high", "truth")],
        "reliability",
    )
    parts = [
        "# Coverage of the published intervals",
        "Written by `make coverage` (`tests/bench/interval_coverage.py`); not edited by hand. Synthetic "
        f"countries of full size, seeds {', '.join(str(seed) for seed in SEEDS)}, written down before the first run: "
        "every published adoption rate of all waves, base `answered`, against the truth of the country. An interval "
        "that claims 95 % should "
        "hold the truth 95 times in a hundred. Estimates of one country share its samples, so the figures scatter more "
        "than their numbers suggest. Standardised errors, (estimate - truth)/SE, should have mean 0 and standard "
        "deviation 1.",
        "## Pooled",
        markdown(groups["pooled"]),
        markdown(groups["by_survey_and_weighting"]),
        "## By reliability mark",
        markdown(groups["by_reliability"]),
        f"## Headline domains, `{HEADLINE_MEASURE}`",
        markdown(groups["headline"]),
        f"### Intervals that miss ({missed.height})",
        markdown(shown),
        "## By survey, weighting, domain type and reliability mark",
        markdown(groups["by_group"]),
    ]
    return "\n\n".join(parts) + "\n"


def markdown(table: pl.DataFrame) -> str:
    """A pipe table."""
    rows = [table.columns, ["---"] * table.width, *table.rows()]
    return "\n".join("| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows)


if __name__ == "__main__":
    main()
