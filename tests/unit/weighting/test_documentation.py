"""The example of reports/methodology/weighting.md is run as it stands, and its tables name every key there is."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.stats.nonresponse import STATUSES
from pipelines.weighting import diagnostics, spec
from pipelines.weighting.rows import WEIGHT_COLUMNS

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "reports" / "methodology" / "weighting.md").read_text(encoding="utf-8")
FACTORS = ("base_weight", "eligibility_factor", "nonresponse_factor", "calibration_factor", "trimming_factor")


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


def test_the_example_runs_to_weights_diagnostics_and_report(folder: Path) -> None:
    files = {name: folder / f"made.{ending}" for name, ending in (("out", "csv"), ("diagnostics", "json"))}
    outputs = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    done = axstat("weight", str(folder / "weight.yaml"), *outputs, "--report", str(folder / "weights.html"))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "collapsed" in done.stderr
    sample, weights = pl.read_csv(folder / "sample.csv"), pl.read_csv(files["out"])
    assert weights["id"].to_list() == sample["id"].to_list()
    product = np.prod([weights[name].to_numpy() for name in FACTORS], axis=0)
    np.testing.assert_allclose(product, weights["weight"].to_numpy(), rtol=1e-12)
    joined = weights.join(sample, on="id")
    for column, totals in {"region": {"N": 310, "S": 288}, "size": {"10-49": 540, "50+": 58}}.items():
        sums = dict(joined.group_by(column).agg(pl.col("weight").sum()).iter_rows())
        assert sums == {level: pytest.approx(total, rel=1e-9) for level, total in totals.items()}
    assert (joined["weight"] * joined["employees"]).sum() == pytest.approx(21800, rel=1e-9)
    carried = joined.filter(pl.col("weight") != 0)
    assert set(carried["status"]) == {"respondent", "out_of_scope"}
    assert carried["weight"].is_between(3.7, 52).all()
    assert carried["weight"].max() == 52
    told = pl.read_json(files["diagnostics"])
    assert tuple(told.columns) == diagnostics.DIAGNOSTIC_COLUMNS
    assert (folder / "weights.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_totals_of_the_example_may_be_counted_on_a_frame(folder: Path) -> None:
    """A frame with the same totals: 540 small and 58 large firms, 21,800 employees."""
    text = (folder / "weight.yaml").read_text(encoding="utf-8")
    counted = re.sub(r"^  margins:.*$", "  margins: [region, size]", text, flags=re.MULTILINE)
    counted = re.sub(r"^  totals:.*$", "  totals: [employees]", counted, flags=re.MULTILINE)
    (folder / "counted.yaml").write_text(counted + "frame: {file: frame.csv}\n", encoding="utf-8")
    sizes = ["10-49"] * 540 + ["50+"] * 58
    regions = ["N"] * 280 + ["S"] * 260 + ["N"] * 30 + ["S"] * 28
    employees = [29] * 540 + [105] * 57 + [21800 - 29 * 540 - 105 * 57]
    pl.DataFrame({"region": regions, "size": sizes, "employees": employees}).write_csv(folder / "frame.csv")
    given, found = (axstat("weight", str(folder / name)) for name in ("weight.yaml", "counted.yaml"))
    assert given.returncode == found.returncode == 0, found.stderr
    theirs, ours = (pl.read_csv(done.stdout.split("\n\n")[0].encode()) for done in (given, found))
    np.testing.assert_allclose(ours["weight"].to_numpy(), theirs["weight"].to_numpy(), rtol=1e-9)


def test_without_files_both_tables_are_printed_and_faults_are_one_block(folder: Path) -> None:
    done = axstat("weight", str(folder / "weight.yaml"))
    assert done.returncode == 0
    weights, told = done.stdout.split("\n\n")
    assert weights.splitlines()[0] == ",".join(["id", *WEIGHT_COLUMNS])
    assert told.splitlines()[0] == ",".join(diagnostics.DIAGNOSTIC_COLUMNS)
    text = (folder / "weight.yaml").read_text(encoding="utf-8")
    (folder / "wrong.yaml").write_text(text.replace("classes: [region", "classes: [regoin"), encoding="utf-8")
    done = axstat("weight", str(folder / "wrong.yaml"), "--out", str(folder / "never.csv"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "response.collapse[0]" in done.stderr
    assert "did you mean regoin?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never.csv").exists()
    refused = axstat("weight", str(folder / "weight.yaml"), "--report", str(folder / "weights.pdf"))
    assert refused.returncode == 1
    assert ".html" in refused.stderr


def test_the_page_names_every_key_method_column_and_diagnostic() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    words = {word for text in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"[a-z_]+[0-9]*", text)}
    sections = (
        spec.Base,
        spec.Dispositions,
        spec.Coarser,
        spec.Propensity,
        spec.Response,
        spec.FrameFile,
        spec.CalibrationPlan,
        spec.TrimmingPlan,
        spec._Weighting,
    )
    for section in sections:
        assert set(section.model_fields) <= words, section
    figures = {*diagnostics.DISTRIBUTION, *diagnostics.MARGIN, *diagnostics.TRIMMING, *diagnostics.STEPS}
    assert {*WEIGHT_COLUMNS, *diagnostics.DIAGNOSTIC_COLUMNS, *figures, *spec.Method.__args__, *STATUSES} <= words


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys, pipelines.weighting.run; "
        "print([name for name in ('dagster', 'great_expectations', 'pandas', 'statsmodels', 'duckdb', 'vl_convert', "
        "'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
