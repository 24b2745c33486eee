"""Gross flows: by hand, their sums, what they leave out, and repeated samples."""

import numpy as np
import polars as pl
import pytest

from pipelines.stats.change import ComparabilityError, Segment
from pipelines.stats.flows import FLOW_SCHEMA, FLOWS, gross_flows
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

LIST, ASKED_BEFORE = Segment("industry", "list-2022", "1"), Segment("industry", "yn-2019", "none")
TOTAL, REGION = Domain("total"), Domain("region", columns=("region",))


def wave(answers: dict[str, tuple[str, float | None]], *, frame: list[str] | None = None) -> Wave:
    """Units: stratum and answer (None: don't know); each stratum of 20 units; frame: its unit_ids, else those here."""
    ids = list(answers)
    stratum = [answers[unit][0] for unit in ids]
    n = [stratum.count(label) for label in stratum]
    units = pl.DataFrame(
        {
            "unit_id": ids,
            "status": ["respondent"] * len(ids),
            "selection_stratum": stratum,
            "take_all": [False] * len(ids),
            "variance_stratum": stratum,
            "stratum_n": n,
            "stratum_population": [20] * len(ids),
            "weight": [20 / count for count in n],
            "post_stratum": stratum,
            "employment": [1] * len(ids),
        }
    )
    rows = pl.DataFrame(
        {
            "unit_id": ids,
            "field": [""] * len(ids),
            "measure": ["ai_adoption"] * len(ids),
            "value": [answers[unit][1] for unit in ids],
            "answer_status": ["dont_know" if answers[unit][1] is None else "answered" for unit in ids],
        },
        schema_overrides={"value": pl.Float64},
    )
    listed = units if frame is None else pl.DataFrame({"unit_id": frame, "take_all": [False] * len(frame)})
    return Wave.build(units, rows, frame=listed)


def flows(before: Wave, after: Wave, *, domains=(TOTAL,), **options) -> pl.DataFrame:
    found = gross_flows(
        before,
        after,
        before_segment=options.pop("before_segment", LIST),
        after_segment=LIST,
        domains=domains,
        measures=["ai_adoption"],
        **options,
    )
    assert dict(found.schema) == FLOW_SCHEMA
    return found


def shares(found: pl.DataFrame) -> dict[str, float]:
    return dict(found.select("flow", "share").iter_rows())


def test_by_hand() -> None:
    """One stratum: b stayed out, c stayed in, d came in, e dropped; a and f answered once."""
    before = wave({unit: ("s", y) for unit, y in zip("abcde", (1.0, 0.0, 1.0, 0.0, 1.0), strict=True)})
    after = wave(
        {unit: ("s", y) for unit, y in zip("bcdef", (0.0, 1.0, 1.0, 0.0, 1.0), strict=True)}, frame=list("abcdef")
    )
    after_frame_before = wave(
        {unit: ("s", y) for unit, y in zip("abcde", (1.0, 0.0, 1.0, 0.0, 1.0), strict=True)}, frame=list("abcdef")
    )
    found = flows(after_frame_before, after, unit_weightings=["unit"])
    assert shares(found) == pytest.approx(
        {"adopted": 0.25, "dropped": 0.25, "stayed_adopter": 0.25, "stayed_non_adopter": 0.25, "net": 0.0}
    )
    # All five later respondents stand for 20 units; the four that answered twice stand for them
    assert found["population"].unique().to_list() == [20.0]
    assert found["n"].unique().to_list() == [4]
    # (1 - 4/20) 4/3 sum (y - 1/4)^2 (5/20)^2 with weights 5, for each flow
    variance = (1 - 4 / 20) * 4 / 3 * (3 / 4) / 16
    assert found["se"].to_list()[:4] == pytest.approx([np.sqrt(variance)] * 4)
    # f was not on the frame of the wave before: the four stand for four fifths
    assert flows(before, after, unit_weightings=["unit"])["population"].unique().to_list() == [16.0]


def test_strata_count_by_their_later_respondents_not_by_their_overlap() -> None:
    """Stratum s: 4 of 4 answered twice, t: 2 of 4; both stand for 20."""
    before = wave(
        {"a": ("s", 0.0), "b": ("s", 0.0), "c": ("s", 0.0), "d": ("s", 0.0), "e": ("t", 0.0), "f": ("t", 0.0)}
    )
    every = list("abcdefgh")
    before = Wave.build(before.units, before.answers, frame=pl.DataFrame({"unit_id": every, "take_all": [False] * 8}))
    after = wave({**dict.fromkeys("abcd", ("s", 1.0)), **dict.fromkeys("efgh", ("t", 0.0))}, frame=every)
    found = flows(before, after, unit_weightings=["unit"])
    assert shares(found)["adopted"] == pytest.approx(0.5)
    assert found["population"].unique().to_list() == [40.0]


def test_a_stratum_without_a_panel_is_spread_over_the_others() -> None:
    before = wave({"a": ("s", 0.0), "b": ("s", 1.0)}, frame=list("abgh"))
    after = wave({"a": ("s", 1.0), "b": ("s", 1.0), "g": ("t", 0.0), "h": ("t", 0.0)})
    found = flows(before, after, unit_weightings=["unit"])
    assert found["population"].unique().to_list() == [40.0]
    assert shares(found)["adopted"] == pytest.approx(0.5)


def test_an_answer_that_is_missing_in_one_wave_counts_in_none() -> None:
    before = wave({"a": ("s", None), "b": ("s", 0.0), "c": ("s", 1.0)})
    after = wave({"a": ("s", 1.0), "b": ("s", 1.0), "c": ("s", None)})
    found = flows(before, after, unit_weightings=["unit"])
    assert found["n"].unique().to_list() == [1]
    assert shares(found)["adopted"] == 1.0


def test_without_a_common_unit_there_is_no_flow() -> None:
    found = flows(wave({"a": ("s", 0.0), "b": ("s", 1.0)}), wave({"c": ("s", 1.0), "d": ("s", 1.0)}))
    assert found.height == 0


@pytest.fixture(scope="module")
def waves(country, plan) -> tuple[Wave, Wave]:
    made = []
    for number, start in ((1, 0.0), (2, 0.03)):
        sample = country.sample(number, start=start)
        weights = weight_sample(sample.drop("take_all"), country.frame, plan=plan).weights
        made.append(Wave.build(country.classified(weights), country.answers(sample, number), frame=country.frame))
    return made[0], made[1]


def test_flows_add_up_and_their_net_is_the_panels_change(waves) -> None:
    found = flows(*waves, domains=(TOTAL, REGION))
    for _, rows in found.group_by("domain_type", "domain_code", "unit_weighting"):
        share = shares(rows)
        assert sum(share[flow] for flow in FLOWS) == pytest.approx(1.0, rel=1e-12)
        assert share["net"] == pytest.approx(share["adopted"] - share["dropped"], abs=1e-14)
        assert (rows.filter(pl.col("flow") != "net")["ci_low"] >= 0).all()
        assert rows["population"].n_unique() == 1
    assert found.filter(pl.col("domain_type") == "region")["domain_code"].n_unique() == 4
    small = found.filter(pl.col("n") < 30)
    assert (small["reliability"] == "suppress").all()
    # The worse of the two stands at their net
    order = {"publish": 0, "caution": 1, "suppress": 2}
    for _, rows in found.group_by("domain_type", "domain_code", "unit_weighting"):
        marks = dict(rows.select("flow", "reliability").iter_rows())
        assert order[marks["net"]] == max(order[marks["adopted"]], order[marks["dropped"]])


def test_waves_of_another_question_are_refused(waves) -> None:
    with pytest.raises(ComparabilityError, match=r"ai_adoption@yn-2019.*ai_adoption@list-2022"):
        flows(*waves, before_segment=ASKED_BEFORE)


@pytest.mark.slow
def test_flows_of_repeated_samples_hold_the_truth(country, plan) -> None:
    """400 pairs: bias below 3.5 Monte Carlo errors or 0.15 SE, and standard errors on the side of caution."""
    rng = np.random.default_rng(20260403)
    found = []
    for _ in range(400):
        drawn = country.frame.with_columns(pl.Series("prn", rng.random(country.frame.height)))
        here = type(country)(frame=drawn, seed=country.seed)
        made = []
        for number, start in ((1, 0.0), (2, 0.03)):
            sample = here.sample(number, start=start, seed=int(rng.integers(1 << 30)))
            weights = weight_sample(sample.drop("take_all"), drawn, plan=plan).weights
            made.append(Wave.build(here.classified(weights), here.answers(sample, number), frame=drawn))
        found.append(flows(*made, unit_weightings=["unit"]))
    draws = pl.concat(found)
    truth = country.frame.select(
        ((pl.col("y1") == 0) & (pl.col("y2") == 1)).mean().alias("adopted"),
        ((pl.col("y1") == 1) & (pl.col("y2") == 0)).mean().alias("dropped"),
        (pl.col("y1") * pl.col("y2")).mean().alias("stayed_adopter"),
    ).row(0, named=True)
    for flow, share in truth.items():
        of_flow = draws.filter(pl.col("flow") == flow)
        spread = of_flow["share"].std()
        assert abs(of_flow["share"].mean() - share) <= max(0.15, 3.5 / np.sqrt(400)) * spread, flow
        assert 0.85 < np.sqrt(of_flow["se"].pow(2).mean()) / spread < 1.25, flow
