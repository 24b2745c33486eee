"""Contributors and contributions of cells, held to units that are written out one by one."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.stats.contributions import cell_contributions
from pipelines.stats.survey_wave import Domain, Wave


def _wave(units: list[tuple[str, int, float, int | None]]) -> Wave:
    """Units of (domain, weight, employment, answer), all in one stratum that is large enough for their weights."""
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:03}" for number in range(len(units))],
            "status": "respondent",
            "variance_stratum": "s",
            "stratum_n": len(units),
            "stratum_population": 10_000,
            "weight": [float(unit[1]) for unit in units],
            "post_stratum": "p",
            "employment": [unit[2] for unit in units],
            "region": [unit[0] for unit in units],
        }
    )
    answers = pl.DataFrame(
        {
            "unit_id": frame["unit_id"],
            "field": "",
            "measure": "ai_adoption",
            "value": [None if unit[3] is None else float(unit[3]) for unit in units],
            "answer_status": ["refused" if unit[3] is None else "answered" for unit in units],
        },
        schema_overrides={"value": pl.Float64},
    )
    listed = frame.select("unit_id", "employment", "region", pl.lit(False).alias("take_all"))
    return Wave.build(frame, answers, frame=listed)


def _by_hand(units: list[tuple[str, int, float, int | None]], region: str, part: str, weighting: str) -> list[float]:
    """Contributions of a part of a domain, one for each unit that a sampled unit stands for, largest first."""
    wanted = {"having": (1,), "lacking": (0,), "all": (0, 1)}[part]
    written_out = [
        1.0 if weighting == "unit" else employment
        for where, weight, employment, answer in units
        if where == region and answer in wanted
        for _ in range(weight)
    ]
    return sorted(written_out, reverse=True)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B"]),
            st.integers(1, 4),
            st.integers(1, 500).map(float),
            st.sampled_from([0, 1, None]),
        ),
        min_size=2,
        max_size=12,
    )
)
def test_sums_and_largest_are_those_of_the_units_written_out(units: list[tuple[str, int, float, int | None]]) -> None:
    found = cell_contributions(
        _wave(units),
        domains=[Domain("region", ("region",))],
        measures=["ai_adoption"],
        unit_weightings=["unit", "employment"],
    )
    assert found.height == 2 * len({unit[0] for unit in units})
    for row in found.iter_rows(named=True):
        for part in ("having", "lacking", "all"):
            expected = _by_hand(units, row["domain_code"], part, row["unit_weighting"])
            assert row[f"sum_{part}"] == pytest.approx(sum(expected))
            assert row[f"largest_{part}"] == pytest.approx(max(expected, default=0.0))
            assert row[f"two_largest_{part}"] == pytest.approx(sum(expected[:2]))
        answered = [unit for unit in units if unit[0] == row["domain_code"] and unit[3] is not None]
        assert row["n"] == len(answered)
        assert row["units"] == sum(unit[0] == row["domain_code"] for unit in units)
        assert (row["numerator"], row["denominator"]) == (row["sum_having"], row["sum_all"])


def test_the_whole_counts_those_that_did_not_answer() -> None:
    wave = _wave([("A", 2, 10.0, 1), ("A", 3, 20.0, None)])
    found = cell_contributions(
        wave, domains=[Domain("region", ("region",))], measures=["ai_adoption"], unit_weightings=["unit", "employment"]
    )
    assert found.select("unit_weighting", "denominator", "whole").rows() == [
        ("unit", 2.0, 5.0),
        ("employment", 20.0, 80.0),
    ]
