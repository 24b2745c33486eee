"""Strata that were counted before they were read, and moments that were added up before."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ViolationsError
from pipelines.stats.arrays import code_labels
from pipelines.stats.design import LonelyPsu, SingletonStratumError, SurveyDesign
from pipelines.stats.moments import reduce_to_moments
from pipelines.stats.row_sums import SUMS
from pipelines.stats.stratum_table import StratumTable

SOUND = {
    "rows_there": 6,
    "units_there": 3,
    "unit_missing": 0,
    "weight_missing": 0,
    "weight_negative": 0,
    "weight_infinite": 0,
    "population_missing": 0,
    "population_low": 12.0,
    "population_high": 12.0,
    "take_all": 0,
    "take_all_missing": 0,
}


def table(
    *changes: dict[str, object],
    clustered: bool = True,
    with_population: bool = True,
    lonely_psu: LonelyPsu = "fail",
) -> StratumTable:
    """Strata a, b … with what differs from a sound one."""
    rows = [{"stratum": "abcdef"[position], **SOUND, **change} for position, change in enumerate(changes)]
    counts = pl.DataFrame(rows, infer_schema_length=None)
    return StratumTable.from_counts(counts, clustered=clustered, with_population=with_population, lonely_psu=lonely_psu)


def test_units_or_rows_are_what_was_drawn() -> None:
    assert table({}, {"units_there": 2}).sampled.tolist() == [3, 2]
    assert table({}, {"rows_there": 4}, clustered=False).sampled.tolist() == [6, 4]


def test_populations_are_counts_fractions_or_none() -> None:
    assert table({}, {"population_low": 3.0, "population_high": 3.0}).population.tolist() == [12.0, 3.0]
    fractions = [{"population_low": share, "population_high": share} for share in (0.5, 1.0)]
    assert table(*fractions).population.tolist() == [6.0, 3.0]
    assert table({}, with_population=False).population.tolist() == [np.inf]


def test_a_take_all_stratum_is_as_large_as_its_sample() -> None:
    whole = {"take_all": 6, "population_low": None, "population_high": None, "population_missing": 6}
    assert table({}, whole).population.tolist() == [12.0, 3.0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stratum": None}, "label_missing"),
        ({"unit_missing": 1}, "label_missing"),
        ({"take_all_missing": 1}, "label_missing"),
        ({"weight_missing": 1}, "weight_missing"),
        ({"weight_negative": 1}, "weight_negative"),
        ({"weight_infinite": 1}, "weight_not_finite"),
        ({"take_all": 2, "population_low": 3.0, "population_high": 3.0}, "take_all_varies"),
        ({"take_all": 6}, "take_all_not_complete"),
        ({"population_missing": 1}, "population_missing"),
        ({"population_low": 11.0}, "population_varies"),
        ({"population_low": 0.5, "population_high": 0.5}, "population_below_one"),
        ({"population_low": 2.0, "population_high": 2.0}, "sample_exceeds_population"),
    ],
)
def test_what_is_wrong_is_said_with_its_stratum(change: dict[str, object], code: str) -> None:
    with pytest.raises(ViolationsError) as raised:
        table({}, change)
    [fault, *more] = raised.value.violations
    assert fault.code == code
    assert [each.code for each in more] == ["sample_exceeds_population"] * (code == "population_below_one")
    assert fault.where == f"strata {'(missing)' if 'stratum' in change else 'b'}"


def test_sizes_are_told() -> None:
    few = {"population_low": 2.0, "population_high": 2.0}
    for changes, told in (
        ([{}, few], "b: n = 3, N = 2"),
        ([few] * 6, "; ".join(f"{label}: n = 3, N = 2" for label in "abcde") + "; and 1 more"),
        ([{"population_low": 11.0}], "a: 11 to 12"),
    ):
        with pytest.raises(ViolationsError) as raised:
            table(*changes)
        assert raised.value.violations[0].got == told


def test_a_fraction_of_nothing_is_refused() -> None:
    with pytest.raises(ViolationsError, match="fraction_not_positive"):
        table({"population_low": 0.0, "population_high": 0.0}, {"population_low": 0.5, "population_high": 0.5})


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ViolationsError) as raised:
        table({"weight_missing": 1}, {"weight_negative": 2, "population_low": 1.0})
    assert [fault.code for fault in raised.value.violations] == [
        "weight_missing",
        "weight_negative",
        "population_varies",
    ]


def test_a_stratum_of_one_unit_is_refused_unless_a_rule_is_named_or_it_is_whole() -> None:
    lonely = {"units_there": 1}
    with pytest.raises(SingletonStratumError) as raised:
        table({}, lonely)
    assert raised.value.strata == ("b",)
    assert table({}, lonely, lonely_psu="adjust").stage.lonely.tolist() == [False, True]
    table({}, {**lonely, "population_low": 1.0, "population_high": 1.0})


def test_moments_added_up_elsewhere_give_the_estimates_of_those_added_up_here() -> None:
    rng = np.random.default_rng(5)
    n = 600
    frame = pl.DataFrame(
        {
            "stratum": pl.Series(rng.integers(0, 6, n)).cast(pl.String),
            "w": rng.uniform(1, 9, n),
            "y": rng.normal(10, 2, n),
        }
    )
    domain = rng.integers(0, 3, n)
    design = SurveyDesign.from_frame(frame, weight="w", strata="stratum")
    here = reduce_to_moments(frame, design, measures=["y"], domain=domain, n_domains=3, with_design_effects=True)
    labels = code_labels(frame["stratum"])[1]
    elsewhere = pl.DataFrame(
        {
            "stratum": labels.gather(here.stratum),
            "domain": here.domain,
            "about": np.zeros(len(here.domain)),
            **{name: here.sums[name][:, 0] for name in SUMS},
        }
    ).sample(fraction=1.0, shuffle=True, seed=3)
    counts = frame.group_by("stratum").agg(rows_there=pl.len())
    counts = counts.with_columns(pl.lit(value).alias(name) for name, value in SOUND.items() if name != "rows_there")
    strata = StratumTable.from_counts(counts, clustered=False, with_population=False, lonely_psu="fail")
    made = strata.moments(elsewhere, domain=elsewhere["domain"].to_numpy(), n_domains=3, lonely_psu="fail")
    for one, other in ((made.estimates(), here.estimates()), (made.totals(), here.totals())):
        for name in ("estimate", "variance", "n", "df", "deff", "kish_deff"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_domains_without_rows_have_no_estimate() -> None:
    strata = table({})
    empty = pl.DataFrame(schema={"stratum": pl.String, "about": pl.Float64, **dict.fromkeys(SUMS, pl.Float64)})
    made = strata.moments(empty, domain=np.zeros(0, dtype=np.int64), n_domains=1, lonely_psu="fail")
    for found in (made.estimates(), made.totals()):
        assert np.isnan(found.estimate).all()
        assert (found.n[0, 0], found.df[0, 0]) == (0.0, 0.0)
