"""Post-stratification: exact totals or a named fault."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ViolationsError
from pipelines.stats.calibration import post_stratify


def codes(error: pytest.ExceptionInfo[ViolationsError]) -> dict[str, str]:
    return {violation.code: violation.where for violation in error.value.violations}


def test_factors_by_hand() -> None:
    result = post_stratify(np.array([2.0, 3.0, 5.0]), pl.Series(["x", "x", "y"]), {"x": 10.0, "y": 4.0})
    assert result.factor.tolist() == [2.0, 2.0, 0.8]
    assert result.margins.select("level", "n", "before", "total", "after").rows() == [
        ("x", 2, 5.0, 10.0, 10.0),
        ("y", 1, 5.0, 4.0, 4.0),
    ]


@given(
    weights=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60),
    seed=st.integers(0, 1000),
    scale=st.floats(1e-3, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_totals_are_met(weights: list[float], seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    cell = pl.Series(rng.choice(["a", "b", "c"], len(weights)))
    totals = {label: float(scale * rng.uniform(0.5, 2)) for label in cell.unique().to_list()}
    w = np.array(weights)
    final = w * post_stratify(w, cell, totals).factor
    for label, total in totals.items():
        assert final[(cell == label).to_numpy()].sum() == pytest.approx(total, rel=1e-9)


def test_every_fault_is_named() -> None:
    with pytest.raises(ViolationsError) as error:
        post_stratify(
            np.array([1.0, 0.0, 2.0, 1.0]),
            pl.Series(["known", "weightless", "unlisted", "zero"]),
            {"known": -1.0, "weightless": 5.0, "zero": 0.0, "empty": 3.0, "nothing": 0.0},
        )
    assert codes(error) == {
        "total_not_valid": "post-stratum known",
        "empty_post_stratum": "post-stratum empty",
        "post_stratum_without_weight": "post-stratum weightless",
        "post_stratum_without_total": "post-stratum unlisted",
        "empty_total": "post-stratum zero",
    }
