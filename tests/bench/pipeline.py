"""Times the main job at full size, to `reports/benchmarks/pipeline.json`, and sets the README's table from that run.

Run by `make bench`. Uses a data home of its own, thrown away afterwards. A wave's seconds are those that `axstat run`
prints: from the start of the wave's run, so without the imports of the process, but for the first wave of a process,
which waits for the checking engine to be imported.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "pipeline.json"
README = ROOT / "README.md"

WAVE_SECONDS = re.compile(r"^wave (\d{4}): .*\((\d+\.\d) s\)$", re.MULTILINE)
TABLE = re.compile(r"(<!-- table:start -->\n).*(<!-- table:end -->)", re.DOTALL)
HEADLINES = """
    select r.survey, d.label_en, r.n, 100 * r.estimate, 100 * r.se, 100 * r.ci_low, 100 * r.ci_high, r.wave
    from mart.adoption_rate as r
    inner join mart.domain as d using (survey, domain_type, domain_code)
    where r.wave = (select max(wave) from mart.adoption_rate)
        and r.domain_type in ('total', 'ax_total', 'ax_industry')
        and r.measure = 'ai_adoption' and r.base = 'answered' and r.unit_weighting = 'unit'
    order by r.survey, r.domain_type = 'ax_industry', r.domain_type desc, d.sort_order
"""


def measure(command: list[str], home: Path) -> dict[str, object]:
    """Wall seconds and peak memory of one command, and the seconds of each wave it ran."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=os.environ | {"AXSTAT_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    figures: dict[str, object] = {
        "seconds": round(time.perf_counter() - started, 2),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }
    waves = {wave: float(seconds) for wave, seconds in WAVE_SECONDS.findall(printed)}
    return figures | ({"wave_seconds": waves, "waves_together": round(sum(waves.values()), 1)} if waves else {})


def readme_table(home: Path) -> str:
    """The headline estimates of the newest wave, as the README shows them."""
    with duckdb.connect(str(home / "published" / "latest" / "axstat.duckdb"), read_only=True) as connection:
        rows = connection.sql(HEADLINES).fetchall()
    lines = [
        f"Synthetic data (made up by `axstat synth` with its default seed), wave {rows[0][-1]}, share of units:",
        "",
        "| survey | domain | n | rate | SE | 95 % interval |",
        "|---|---|---:|---:|---:|---:|",
        *(
            f"| {survey} | {label} | {n:,} | {rate:.1f} % | {se:.1f} | {low:.1f}–{high:.1f} |"
            for survey, label, n, rate, se, low, high, _ in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and save."""
    axstat = str(Path(sys.executable).parent / "axstat")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        figures = {
            "help": measure([axstat, "--help"], home),
            "synth": measure([axstat, "synth"], home),
            "run_all": measure([axstat, "run", "--all"], home),
            "run_one_again": measure([axstat, "run", "--wave", "2025"], home),
        }
        table = readme_table(home)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(TABLE.sub(lambda found: found[1] + table + found[2], text), encoding="utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n" + table)


if __name__ == "__main__":
    main()
