"""Times intake beside polars' own read of the same file, to `reports/benchmarks/intake.json`.

Run by `make bench`. Made-up data: 1 million rows and 40 columns of Korean text, codes and numbers in CP949, with cells
that break rules; a contract with types, a key and 30 rules. Intake is what `axstat read` does: encoding, records,
types, rules, quarantine, and the import of the checking engine. Each way runs in a process of its own, in turn; the
median of the rounds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import yaml

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "reports" / "benchmarks" / "intake.json"
ROWS, TEXTS, CODES, AMOUNTS, COUNTS = 1_000_000, 12, 15, 8, 4
WORDS = ["예", "아니요", "모름", "활용", "도입 검토", "서울특별시", "경기도", "제주특별자치도", "제조업", "정보통신업"]
# One row in so many has a cell that breaks a rule
BROKEN = 1_000


def made_up(rows: int) -> pl.DataFrame:
    """Rows of text, as they are sent."""
    rng = np.random.default_rng(20261129)
    words = np.array(WORDS)
    columns: dict[str, Any] = {"번호": [f"{number:010d}" for number in range(rows)]}
    columns |= {f"문항{k}": words[rng.integers(0, len(WORDS), rows)] for k in range(TEXTS)}
    columns |= {f"코드{k}": rng.integers(1, 9, rows) for k in range(CODES)}
    columns |= {f"금액{k}": np.round(rng.lognormal(5, 2, rows), 1) for k in range(AMOUNTS)}
    columns |= {f"종사자{k}": rng.integers(1, 5_000, rows) for k in range(COUNTS)}
    frame = pl.DataFrame(columns)
    broken = pl.int_range(pl.len()) % BROKEN == 0
    return frame.with_columns(pl.when(broken).then(-5).otherwise(pl.col("종사자0")).alias("종사자0"))


def contract() -> dict[str, Any]:
    """The file's contract: types of 40 columns and 30 rules."""
    properties: list[dict[str, Any]] = [
        {
            "name": "id",
            "physicalName": "번호",
            "logicalType": "string",
            "required": True,
            "primaryKey": True,
            "primaryKeyPosition": 1,
            "logicalTypeOptions": {"pattern": "^[0-9]{10}$"},
        }
    ]
    for k in range(TEXTS):
        options = {"logicalTypeOptions": {"maxLength": 20}} if k < 2 else {}
        properties.append({"name": f"text_{k}", "physicalName": f"문항{k}", "logicalType": "string", **options})
    for k in range(CODES):
        properties.append(
            {
                "name": f"code_{k}",
                "physicalName": f"코드{k}",
                "logicalType": "integer",
                "logicalTypeOptions": {"minimum": 1, "maximum": 9},
            }
        )
    for kind, header, count, options in (
        ("number", "금액", AMOUNTS, {"minimum": 0}),
        ("integer", "종사자", COUNTS, {"minimum": 1, "maximum": 100_000}),
    ):
        for k in range(count):
            name = f"{'amount' if kind == 'number' else 'persons'}_{k}"
            properties.append(
                {"name": name, "physicalName": f"{header}{k}", "logicalType": kind, "logicalTypeOptions": options}
            )
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "bench",
        "name": "bench",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "bench", "properties": properties}],
    }


def read_by_polars(folder: Path) -> dict[str, object]:
    """What a script without intake would do."""
    frame = pl.read_csv(folder / "rows.csv", encoding="cp949")
    return {"rows": frame.height, "columns": frame.width}


def read_by_intake(folder: Path) -> dict[str, object]:
    """What `axstat read` does with the file."""
    from pipelines.contracts.library import load_library
    from pipelines.precheck.reading import read_file
    from pipelines.settings import load_settings

    made = read_file(folder / "rows.csv", folder / "contract.yaml", load_library(load_settings().contracts_dir))
    assert not made.violations, made.violations
    return {
        "rows": made.records,
        "columns": made.typed.width,
        "typed": made.typed.height,
        "quarantined": made.quarantine.height,
        "broken_rules": made.rules.height,
    }


def measure(way: str, folder: Path) -> dict[str, Any]:
    """Figures of one way, from a process of its own: seconds without imports, largest memory."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--way", choices=["polars", "intake"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        read = read_by_polars if options.way == "polars" else read_by_intake
        started = time.perf_counter()
        found = read(options.folder)
        found["seconds"] = round(time.perf_counter() - started, 2)
        found["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "rows.csv").write_bytes(made_up(options.rows).write_csv().encode("cp949"))
        (folder / "contract.yaml").write_text(yaml.safe_dump(contract(), allow_unicode=True), encoding="utf-8")
        size = (folder / "rows.csv").stat().st_size
        rounds = [{way: measure(way, folder) for way in ("polars", "intake")} for _ in range(options.rounds)]
    assert all(found["intake"]["quarantined"] == -(-options.rows // BROKEN) for found in rounds)
    figures = {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "rules": 30,
        "file_mib": round(size / 2**20),
        **{way: rounds[-1][way] | _middle([found[way] for found in rounds]) for way in ("polars", "intake")},
        "times_polars": round(median(found["intake"]["seconds"] / found["polars"]["seconds"] for found in rounds), 2),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(figures) + "\n")


def _middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"seconds": median(one["seconds"] for one in found), "peak_mib": max(one["peak_mib"] for one in found)}


if __name__ == "__main__":
    main()
