import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.estimation.run import EstimateTable, run_specification
from pipelines.estimation.spec import load_specification

Run = Callable[..., EstimateTable]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a specification given as keys (or as text) on a frame."""

    def made(data: pl.DataFrame | None = None, *, text: str | None = None, **keys: object) -> EstimateTable:
        if data is not None:
            data.write_parquet(tmp_path / "data.parquet")
            keys = {"data": "data.parquet", **keys}
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(keys, sort_keys=False) if text is None else text, encoding="utf-8")
        return run_specification(load_specification(path))

    return made


@pytest.fixture
def sample() -> pl.DataFrame:
    """Three strata of four to six PSUs whose labels start anew in each, two to four rows a PSU, two waves."""
    draw = random.Random(20260301)
    rows = []
    for stratum, psus in (("north", 4), ("south", 5), ("west", 6)):
        for psu in range(1, psus + 1):
            for unit in range(1, draw.randint(2, 4) + 1):
                for wave in (1, 2):
                    if wave == 1 or draw.random() < 0.7:
                        rows.append(
                            {
                                "stratum": stratum,
                                "psu": psu,
                                "unit": unit,
                                "wave": wave,
                                "there": {"north": 12, "south": 40, "west": 9}[stratum],
                                "w": round(draw.uniform(1, 9), 2),
                                "adopts": int(draw.random() < 0.35 + 0.2 * wave),
                                "sales": round(draw.lognormvariate(3, 1), 2) if draw.random() < 0.9 else None,
                                "staff": draw.randint(10, 90),
                                "size": draw.choice(["small", "middle", "large"]),
                                "sex": draw.choice(["A", "B"]),
                            }
                        )
    return pl.DataFrame(rows)
