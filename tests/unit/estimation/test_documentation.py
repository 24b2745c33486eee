"""The example of reports/methodology/estimate.md is run as it stands, and its tables name every key there is."""

import re
from pathlib import Path

import pytest

from pipelines.estimation.rows import FIRST_COLUMNS, LAST_COLUMNS, TEST_COLUMNS
from pipelines.estimation.run import run_specification
from pipelines.estimation.spec import (
    TAKES,
    CalibrationPlan,
    Confidence,
    Design,
    Replicates,
    load_specification,
)

PAGE = (Path(__file__).resolve().parents[3] / "reports" / "methodology" / "estimate.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_example_runs(tmp_path: Path) -> None:
    (tmp_path / "firms.csv").write_text(block("csv"), encoding="utf-8")
    path = tmp_path / "spec.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    table = run_specification(load_specification(path)).table
    assert table["id"].to_list() == [
        "adoption",
        "by_size",
        "by_size",
        "gap",
        "intensity",
        "spend",
        "turnover",
        "turnover",
    ]
    assert set(table["status"]) == {"ok", "no_df"}
    rows = {row["id"]: row for row in table.to_dicts()}
    # Post-stratified: small firms weigh 42/39 each of theirs, large ones 36/39; the share of adopters by hand.
    small, large = {"1": 10, "2": 10, "5": 15, "8": 4}, {"3": 10, "4": 10, "6": 15, "7": 4}
    adopting = 42 * small["1"] / sum(small.values()) + 36 * (large["3"] + large["6"] + large["7"]) / sum(large.values())
    assert rows["adoption"]["estimate"] == pytest.approx(adopting / (42 + 36), rel=1e-12)
    assert rows["adoption"]["sum_weights"] == pytest.approx(42 + 36, rel=1e-12)
    assert rows["intensity"]["n_missing"] == 1


def test_the_page_names_every_key_statistic_and_column() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.DOTALL | re.MULTILINE)
    words = {word for text in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"[a-z_]+", text)}
    for section in (Design, CalibrationPlan, Replicates, Confidence):
        assert set(section.model_fields) <= words
    for kind, keys in TAKES.items():
        assert {kind, *keys.must, *keys.may} <= words
    assert {*FIRST_COLUMNS, *LAST_COLUMNS, *TEST_COLUMNS} <= words
