from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.weighting.run import SurveyWeights, run_weighting
from pipelines.weighting.spec import load_weighting

Weigh = Callable[..., SurveyWeights]
CODES = {
    "respondent": ["1.1", "1.2"],
    "partial": ["1.2"],
    "eligible_nonrespondent": ["2.1"],
    "unknown_eligibility": ["3.1"],
    "out_of_scope": ["4.2"],
}


@pytest.fixture
def weigh(tmp_path: Path) -> Weigh:
    """Weight by keys on tables, each written under its name; the sample is sample.csv."""

    def made(tables: dict[str, pl.DataFrame], **keys: object) -> SurveyWeights:
        for name, table in tables.items():
            table.write_csv(tmp_path / name)
        path = tmp_path / "weight.yaml"
        path.write_text(yaml.safe_dump({"sample": "sample.csv"} | keys, sort_keys=False), encoding="utf-8")
        return run_weighting(load_weighting(path))

    return made


@pytest.fixture
def firms() -> pl.DataFrame:
    """Twelve firms of two regions, whose codes begin with a zero: in each four respondents, and one of each other kind
    in region 01, two eligible non-respondents in region 02. Every base weight is 10, that of firm f01 20.
    """
    dispositions = ["1.1", "1.1", "1.2", "1.1", "2.1", "3.1", "4.2", "1.1", "1.1", "1.1", "2.1", "2.1"]
    return pl.DataFrame(
        {
            "id": [f"f{number:02d}" for number in range(1, 13)],
            "region": ["01"] * 7 + ["02"] * 5,
            "disposition": dispositions,
            "pi": [0.05] + [0.1] * 11,
            "employees": [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60],
        }
    )
