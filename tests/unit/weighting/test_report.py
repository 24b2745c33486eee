"""The weight report, opened as text: it needs nothing beside it, and names units only where it says so."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.settings import load_settings
from pipelines.weighting.report import LARGEST, weight_report
from pipelines.weighting.run import SurveyWeights
from tests.unit.weighting.conftest import CODES, Weigh

TEMPLATES = load_settings({}).annual_dir


def text_of(page: str) -> str:
    """The page without style and the embedded typeface."""
    return re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.fixture
def made(weigh: Weigh) -> SurveyWeights:
    """200 units named unit-000 to unit-199, of which a third is silent."""
    rng = np.random.default_rng(5)
    n = 200
    table = pl.DataFrame(
        {
            "id": [f"unit-{number:03d}" for number in range(n)],
            "group": rng.choice(["a & b", "c<d"], n),
            "size": rng.choice(["s", "m", "l"], n, p=[0.6, 0.37, 0.03]),
            "w": rng.uniform(5, 50, n),
            "code": rng.choice(["1.1", "2.1", "3.1", "4.2"], n, p=[0.65, 0.2, 0.1, 0.05]),
        }
    )
    keys: dict[str, Any] = {
        "unit": "id",
        "base": {"weight": "w"},
        "status": {"column": "code"} | CODES,
        "response": {
            "classes": ["group", "size"],
            "collapse": ["size"],
            "min_respondents": 15,
            "model": {"terms": ["group"], "use": "inverse"},
        },
        "calibration": {"method": "rake", "margins": {"group": {"a & b": 3000.0, "c<d": 2700.0}}},
        "trimming": {"iqr": 0.8},
    }
    return weigh({"sample.csv": table}, **keys)


def test_it_needs_nothing_from_outside(made: SurveyWeights) -> None:
    page = weight_report(made, template_dir=TEMPLATES)
    # Names of XML are addresses that nothing is fetched from.
    assert set(re.findall(r"https?://[^\s\"'<>)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.findall(r"<(?:script|link|img|iframe|object)\b", page)
    assert set(re.findall(r"url\(([a-z]+):", page)) == {"data"}


def test_units_are_named_in_the_last_section_only(made: SurveyWeights) -> None:
    page = text_of(weight_report(made, template_dir=TEMPLATES))
    assert "Not for publication" in page
    before, _, last = page.partition("<h2>Largest weights</h2>")
    assert "unit-" not in before
    largest = made.weights.sort("weight", descending=True).head(LARGEST)["id"].to_list()
    assert re.findall(r"unit-\d{3}", last) == largest
    # What is handed on has none of them.
    assert not made.diagnostics.select(pl.col("cell", "text").str.contains("unit-").any()).row(0)[0]


def test_every_step_margin_and_collapse_is_shown(made: SurveyWeights) -> None:
    page = text_of(weight_report(made, template_dir=TEMPLATES))
    for heading in (
        "Weights after each step",
        "Response",
        "Model of response",
        "Margins and totals",
        "Cells collapsed",
    ):
        assert f">{heading}</h" in page
    told = made.diagnostics
    collapses = told.filter(pl.col("diagnostic") == "collapse")
    assert collapses.height > 0
    assert len(re.findall(r"joins [^<]*respondent", page)) == collapses.height
    # Labels are text, never markup.
    assert "group=c&lt;d" in page
    assert "c<d" not in page
    deff = told.filter((pl.col("diagnostic") == "kish_deff") & (pl.col("step") == "trimming"))["value"][0]
    assert f"<td>{deff:,.6g}</td>" in page
    assert page.count("<svg") == 2 + 4 + 1
    for note in made.notes:
        assert note in page


def test_the_same_weights_make_the_same_page(made: SurveyWeights) -> None:
    assert weight_report(made, template_dir=TEMPLATES) == weight_report(made, template_dir=TEMPLATES)


def test_a_sample_of_base_weights_alone(weigh: Weigh, firms: pl.DataFrame, tmp_path: Path) -> None:
    page = text_of(
        weight_report(weigh({"sample.csv": firms}, unit="id", base={"probability": "pi"}), template_dir=TEMPLATES)
    )
    assert page.count("<svg") == 2
    for heading in ("Response", "Margins and totals", "Cells collapsed", "To be read first"):
        assert f">{heading}</h2>" not in page
