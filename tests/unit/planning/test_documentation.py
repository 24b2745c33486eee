"""The examples of reports/methodology/planning.md are run as they stand, and its tables name every key there is."""

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from pipelines.planning import spec
from pipelines.planning.draw import STRATA_COLUMNS
from pipelines.planning.run import ALLOCATION_COLUMNS, PRECISION_COLUMNS
from pipelines.stats.selection import permanent_random_numbers

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "reports" / "methodology" / "planning.md").read_text(encoding="utf-8")


def axstat(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page."""
    for name, body in re.findall(r"^```\w+ (\S+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(body, encoding="utf-8")
    return tmp_path


def firms(strata: pl.DataFrame, *, first: int) -> pl.DataFrame:
    """A frame of these strata; ``first`` firms of each have left, as many are born."""
    rows = [
        (f"{row['industry']}{row['size']}-{unit}", row["industry"], row["size"])
        for row in strata.to_dicts()
        for unit in range(first, first + row["firms"])
    ]
    frame = pl.DataFrame(rows, schema=["firm", "industry", "size"], orient="row")
    return frame.with_columns(pl.Series("number", permanent_random_numbers("test", frame["firm"].to_list())))


def test_the_examples_run_from_plan_to_sample(folder: Path) -> None:
    done = axstat(
        "plan",
        str(folder / "plan.yaml"),
        "--out",
        str(folder / "allocation.csv"),
        "--precision",
        str(folder / "precision.csv"),
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "no sample that meets the targets costs less" in done.stderr
    precision = pl.read_csv(folder / "precision.csv")
    assert precision["met"].drop_nulls().all()
    assert precision["domain"].to_list() == ["all", "industry=C", "industry=J", "industry=Q", "size=10-49"]
    strata = pl.read_csv(folder / "strata.csv")
    allocation = pl.read_csv(folder / "allocation.csv")
    large = allocation.filter(pl.col("size") == "250+")
    assert (large["drawn"] == large["population"]).all()

    # The first wave, drawn by the same specification without a last sample.
    text = (folder / "draw.yaml").read_text(encoding="utf-8")
    first = re.sub(r"^(overlap|last):.*\n", "", text, flags=re.MULTILINE).replace("2026", "2025")
    (folder / "first.yaml").write_text(first, encoding="utf-8")
    for name, wave, gone in (("first.yaml", 2025, 0), ("draw.yaml", 2026, 1)):
        firms(strata, first=gone).write_csv(folder / "frame.csv")
        outputs = ["--out", str(folder / f"sample_{wave}.csv"), "--strata", str(folder / f"strata_{wave}.csv")]
        done = axstat("draw", str(folder / name), *outputs)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    sample, before = (pl.read_csv(folder / f"sample_{wave}.csv") for wave in (2026, 2025))
    assert sample.height == before.height == allocation["drawn"].sum()
    kept = pl.read_csv(folder / "strata_2026.csv").filter(pl.col("size") != "250+")
    assert kept["kept"].sum() / kept["last"].sum() == pytest.approx(0.7, abs=0.05)
    assert set(sample.filter(pl.col("panel_since") == 2025)["firm"]) <= set(before["firm"])


def test_without_files_both_tables_are_printed_and_faults_are_one_block(folder: Path) -> None:
    done = axstat("plan", str(folder / "plan.yaml"))
    assert done.returncode == 0
    allocation, precision = done.stdout.split("\n\n")
    assert allocation.splitlines()[0] == ",".join(["industry", "size", *ALLOCATION_COLUMNS])
    assert precision.splitlines()[0] == ",".join(PRECISION_COLUMNS)
    text = (folder / "plan.yaml").read_text(encoding="utf-8").replace("response: response", "response: respons")
    (folder / "plan.yaml").write_text(text, encoding="utf-8")
    done = axstat("plan", str(folder / "plan.yaml"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "strata.response" in done.stderr
    assert "did you mean response?" in done.stderr
    assert "Traceback" not in done.stderr
    refused = axstat("draw", str(folder / "draw.yaml"), "--out", str(folder / "sample.xlsx"))
    assert refused.returncode == 1
    assert ".parquet, .csv, .json" in refused.stderr


def test_the_page_names_every_key_method_and_column() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    words = {word for text in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"[a-z_]+", text)}
    sections = (
        spec.StrataTable,
        spec.Answers,
        spec.Measure,
        spec.PlannedDomain,
        spec.Target,
        spec.AllocationPlan,
        spec.Change,
        spec.FrameFile,
        spec.AllocationFile,
        spec.LastSample,
        spec._Plan,
        spec._Draw,
    )
    for section in sections:
        assert set(section.model_fields) <= words, section
    assert {*ALLOCATION_COLUMNS, *PRECISION_COLUMNS, *STRATA_COLUMNS, *spec.Method.__args__} <= words


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys, pipelines.planning.run, pipelines.planning.draw; "
        "print([name for name in ('dagster', 'great_expectations', 'pandas', 'statsmodels', 'duckdb', 'scipy.stats') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
