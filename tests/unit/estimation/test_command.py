"""`axstat estimate` as a person meets it: a table or a file, one readable block of faults, exit code 1."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[3]
SPEC = """
data: d.csv
design: {strata: h, weight: w}
estimates:
  - {id: m, statistic: mean, measure: y}
"""


def axstat(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def specification(folder: Path, text: str = SPEC) -> Path:
    (folder / "d.csv").write_text("h,w,y\na,1,1\na,1,3\nb,2,2\nb,2,6\n", encoding="utf-8")
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_in_csv_where_there_is_no_terminal(tmp_path: Path) -> None:
    done = axstat("estimate", str(specification(tmp_path)))
    assert (done.returncode, done.stderr) == (0, "")
    row = pl.read_csv(done.stdout.encode()).to_dicts()[0]
    # (1 + 3 + 2 x 2 + 2 x 6)/6; V = sum over strata of n/(n - 1) sum (t - mean)^2 of t = w (y - 10/3)/6.
    assert row["estimate"] == 20 / 6
    assert abs(row["se"] - ((2 * 2 * (2 / 12) ** 2 + 2 * 2 * (8 / 12) ** 2) ** 0.5)) < 1e-12
    assert (row["n"], row["df"], row["status"]) == (4, 2, "ok")


def test_no_file_is_written_among_those_that_are_read(tmp_path: Path) -> None:
    path = specification(tmp_path, SPEC.replace("d.csv", "parts"))
    (tmp_path / "parts").mkdir()
    pl.read_csv(tmp_path / "d.csv").write_parquet(tmp_path / "parts" / "d.parquet")
    for name in ("d.parquet", "new.parquet"):
        done = axstat("estimate", str(path), "--out", str(tmp_path / "parts" / name))
        assert (done.returncode, "output_is_input" in done.stderr) == (1, True)
    assert [each.name for each in (tmp_path / "parts").iterdir()] == ["d.parquet"]


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pipelines.cli", "estimate", str(specification(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_broken_pipe_to_another_program_is_told() -> None:
    words = (
        "from pipelines.terminal import readable_errors\nwith readable_errors():\n    raise BrokenPipeError(32, 'gone')"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: BrokenPipeError: [Errno 32] gone")


def test_a_file_of_the_ending_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = axstat("estimate", str(specification(tmp_path)), "--out", str(out))
    assert (done.returncode, done.stdout) == (0, "")
    assert [row["id"] for row in json.loads(out.read_text(encoding="utf-8"))] == ["m"]
    refused = axstat("estimate", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "out.xlsx"))
    assert refused.returncode == 1
    assert ".parquet, .csv, .json" in refused.stderr


def test_the_files_that_are_read_are_not_written_over(tmp_path: Path) -> None:
    path = specification(tmp_path)
    before = (tmp_path / "d.csv").read_bytes()
    done = axstat("estimate", str(path), "--out", str(tmp_path / "x" / ".." / "d.csv"))
    assert done.returncode == 1
    done = axstat("estimate", str(path), "--out", str(tmp_path / "d.csv"))
    assert (done.returncode, "output_is_input" in done.stderr) == (1, True)
    assert (tmp_path / "d.csv").read_bytes() == before


def test_faults_are_one_block_without_a_traceback(tmp_path: Path) -> None:
    done = axstat("estimate", str(specification(tmp_path, SPEC.replace("strata", "stratum").replace("mean", "men"))))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "2 violation(s)" in done.stderr
    assert "did you mean strata?" in done.stderr
    assert "estimates[0].statistic" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_heavy_is_imported() -> None:
    """The time of a short run is that of its imports."""
    program = (
        "import sys, pipelines.estimation.run; "
        "print([name for name in ('dagster', 'great_expectations', 'pandas', 'statsmodels', 'duckdb', 'scipy.stats') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
