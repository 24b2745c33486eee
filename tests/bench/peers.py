"""Other programs beside ours: a script of theirs run on the same rows, and the seconds that it reports.

Belongs here: starting them and what is said where they cannot be started. Does not belong here: what they compute (the
scripts stand with the bench that uses them).
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import polars as pl

# svy and balance want other versions than ours: `make bench-peers` makes this environment
PYTHON = str(Path(__file__).parents[2] / "data" / "bench-peers" / "bin" / "python")
SECONDS = 600


def measure_peer(interpreter: str, script: str, frame: pl.DataFrame) -> float | str:
    """Seconds that a script reports for the rows, or why there are none.

    Args:
        script: gets the path of a CSV file of the frame; the last word it prints is the seconds.
    """
    if shutil.which(interpreter) is None:
        return "not installed"
    with tempfile.TemporaryDirectory() as folder:
        rows, program = Path(folder) / "rows.csv", Path(folder) / "script.txt"
        frame.write_csv(rows)
        program.write_text(script, encoding="utf-8")
        try:
            done = subprocess.run(
                [interpreter, str(program), str(rows)], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"not done in {SECONDS} s"
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else ""
        return "not installed" if "ModuleNotFoundError" in last else f"failed: {last}"
    return round(float(done.stdout.strip().split()[-1]), 2)
