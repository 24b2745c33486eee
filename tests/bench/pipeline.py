"""Times the main job: one process a case, wall time and peak memory, to `reports/benchmarks/pipeline.json`.

Run by `make bench`. Uses a data home of its own, thrown away afterwards.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "reports" / "benchmarks" / "pipeline.json"


def measure(command: list[str], home: Path) -> dict[str, float]:
    """Wall seconds and peak memory (of the largest child so far) of one command."""
    started = time.perf_counter()
    subprocess.run(command, env=os.environ | {"AXSTAT_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mib_so_far": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }


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
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
