from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.planning.run import SamplePlan, run_plan
from pipelines.planning.spec import load_plan

Plan = Callable[..., SamplePlan]


@pytest.fixture
def strata() -> pl.DataFrame:
    """Eight strata of two industries by four regions, whose codes begin with a zero."""
    return pl.DataFrame(
        {
            "industry": ["A"] * 4 + ["B"] * 4,
            "region": ["01", "02", "03", "04"] * 2,
            "firms": [900, 400, 250, 40, 1200, 80, 600, 3],
            "share": [0.2, 0.35, 0.5, 0.7, 0.1, 0.6, 0.3, 0.5],
            "response": [0.5, 0.6, 0.7, 0.9, 0.5, 0.8, 0.6, 1.0],
            "cost": [1.0, 1.0, 2.0, 2.0, 1.0, 3.0, 1.0, 1.0],
        }
    )


@pytest.fixture
def run(tmp_path: Path) -> Plan:
    """Run a plan given as keys on tables, each written under its name."""

    def made(tables: dict[str, pl.DataFrame], **keys: object) -> SamplePlan:
        for name, table in tables.items():
            table.write_csv(tmp_path / name)
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
        return run_plan(load_plan(path))

    return made
