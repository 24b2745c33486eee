"""Within and composition: by hand, exact sums, standard errors against the change's and against repeated samples."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError
from pipelines.stats.change import ComparabilityError, Segment, adoption_change
from pipelines.stats.decomposition import ALL, DECOMPOSITION_SCHEMA, decompose_change
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

LIST, ASKED_BEFORE = Segment("industry", "list-2022", "1"), Segment("industry", "yn-2019", "none")
TOTAL, GROUP, AX = Domain("total"), Domain("group", columns=("group",)), Domain("ax", columns=("ax",))
AX_TOTAL = Domain("ax_total", where_not_null="ax")


def by_hand(answers: dict[str, tuple[str, float, float]]) -> Wave:
    """Units: group, weight, answer; one stratum of 100, drawn with replacement for all that matters here."""
    ids = list(answers)
    units = pl.DataFrame(
        {
            "unit_id": ids,
            "status": ["respondent"] * len(ids),
            "selection_stratum": ["s"] * len(ids),
            "take_all": [False] * len(ids),
            "variance_stratum": ["s"] * len(ids),
            "stratum_n": [len(ids)] * len(ids),
            "stratum_population": [100] * len(ids),
            "weight": [answers[unit][1] for unit in ids],
            "post_stratum": ["s"] * len(ids),
            "employment": [1] * len(ids),
            "group": [answers[unit][0] for unit in ids],
        }
    )
    rows = pl.DataFrame(
        {
            "unit_id": ids,
            "field": [""] * len(ids),
            "measure": ["ai_adoption"] * len(ids),
            "value": [answers[unit][2] for unit in ids],
            "answer_status": ["answered"] * len(ids),
        }
    )
    return Wave.build(units, rows, frame=units)


def decomposed(before: Wave, after: Wave, *, whole: Domain = TOTAL, parts: Domain = GROUP, **options) -> pl.DataFrame:
    return decompose_change(
        before,
        after,
        before_segment=options.pop("before_segment", LIST),
        after_segment=LIST,
        divisions=[(whole, parts)],
        measures=["ai_adoption"],
        **options,
    )


def test_by_hand() -> None:
    """Group a: 60 % at 1/3 -> 40 % at 1/2; group b: 40 % at 1/2 -> 60 % at 2/3. R: 0.4 -> 0.6, mean 0.5."""
    before = by_hand(
        {"1": ("a", 2, 1), "2": ("a", 2, 0), "3": ("a", 2, 0), "4": ("b", 2, 1), "5": ("b", 2, 0)},
    )
    after = by_hand({"1": ("a", 2, 1), "2": ("a", 2, 0), "4": ("b", 2, 1), "5": ("b", 2, 1), "6": ("b", 2, 0)})
    found = decomposed(before, after, unit_weightings=["unit"])
    assert dict(found.schema) == DECOMPOSITION_SCHEMA
    a, b, total = found.to_dicts()
    assert (a["domain_code"], b["domain_code"], total["domain_code"]) == ("a", "b", ALL)
    assert (a["share_before"], a["share_after"]) == pytest.approx((0.6, 0.4))
    assert a["within_pp"] == pytest.approx(100 * 0.5 * (1 / 2 - 1 / 3))
    assert b["within_pp"] == pytest.approx(100 * 0.5 * (2 / 3 - 1 / 2))
    assert a["composition_pp"] == pytest.approx(100 * -0.2 * (5 / 12 - 0.5))
    assert b["composition_pp"] == pytest.approx(100 * 0.2 * (7 / 12 - 0.5))
    assert total["contribution_pp"] == pytest.approx(20.0, rel=1e-14)
    assert (total["estimate_before"], total["estimate_after"], total["whole_type"]) == (0.4, 0.6, "total")


def test_a_domain_that_is_new_adds_composition_only() -> None:
    before = by_hand({"1": ("a", 1, 1), "2": ("a", 1, 0), "3": ("a", 1, 0)})
    after = by_hand({"1": ("a", 1, 1), "2": ("a", 1, 0), "4": ("c", 1, 1)})
    a, c, total = decomposed(before, after, unit_weightings=["unit"]).to_dicts()
    assert (c["estimate_before"], c["share_before"], c["within_pp"], c["within_se_pp"]) == (None, 0.0, 0.0, 0.0)
    assert c["composition_pp"] == pytest.approx(100 / 3 * (1 - 0.5))
    assert a["within_pp"] + a["composition_pp"] + c["composition_pp"] == pytest.approx(100 / 3)
    assert total["contribution_pp"] == pytest.approx(100 / 3)


@pytest.fixture(scope="module")
def waves(country, plan) -> tuple[Wave, Wave]:
    made = []
    for number, start in ((1, 0.0), (2, 0.03)):
        sample = country.sample(number, start=start)
        weights = weight_sample(sample.drop("take_all"), country.frame, plan=plan).weights
        made.append(Wave.build(country.classified(weights), country.answers(sample, number), frame=country.frame))
    return made[0], made[1]


@pytest.mark.parametrize(
    ("whole", "parts"), [(TOTAL, GROUP), (TOTAL, Domain("region", columns=("region",))), (AX_TOTAL, AX)]
)
def test_parts_add_up_to_the_change_and_so_does_its_error(waves, whole: Domain, parts: Domain) -> None:
    found = decomposed(*waves, whole=whole, parts=parts)
    change = adoption_change(*waves, before_segment=LIST, after_segment=LIST, domains=[whole], measures=["ai_adoption"])
    for row in change.to_dicts():
        rows = found.filter(pl.col("unit_weighting") == row["unit_weighting"])
        parts_of, total = rows.filter(pl.col("domain_code") != ALL), rows.filter(pl.col("domain_code") == ALL)
        assert total["contribution_pp"][0] == pytest.approx(100 * row["change"], rel=1e-12)
        for name in ("within_pp", "composition_pp", "contribution_pp"):
            assert parts_of[name].sum() == pytest.approx(total[name][0], rel=1e-10, abs=1e-12)
        np.testing.assert_allclose(
            rows["within_pp"] + rows["composition_pp"], rows["contribution_pp"], rtol=1e-12, atol=1e-12
        )
        assert total["contribution_se_pp"][0] == pytest.approx(100 * row["change_se"], rel=1e-9)
        assert total["df"][0] == min(row["df_before"], row["df_after"])
        assert total["within_se_pp"][0] > 0


@pytest.mark.slow
def test_standard_errors_are_those_of_repeated_samples(country, plan) -> None:
    """400 pairs of samples: mean variance over Monte Carlo variance of the sums within 3.5 Monte Carlo errors of 1.

    A relative variance of 2/399 each for a normal figure; 15 % besides for what linearisation and the weighting of a
    sample of 400 leave out.
    """
    found = []
    rng = np.random.default_rng(20260402)
    for _ in range(400):
        drawn = country.frame.with_columns(pl.Series("prn", rng.random(country.frame.height)))
        here = type(country)(frame=drawn, seed=country.seed)
        made = []
        for number, start in ((1, 0.0), (2, 0.03)):
            sample = here.sample(number, start=start, seed=int(rng.integers(1 << 30)))
            weights = weight_sample(sample.drop("take_all"), drawn, plan=plan).weights
            made.append(Wave.build(here.classified(weights), here.answers(sample, number), frame=drawn))
        found.append(decomposed(*made, parts=Domain("region", columns=("region",)), unit_weightings=["unit"]))
    draws = pl.concat(found).filter(pl.col("domain_code") == ALL)
    for name in ("within", "composition", "contribution"):
        ratio = draws[f"{name}_se_pp"].pow(2).mean() / draws[f"{name}_pp"].var()
        assert abs(ratio - 1) < 3.5 * np.sqrt(2 / 399) + 0.15, name


def test_waves_of_another_question_are_refused(waves) -> None:
    with pytest.raises(ComparabilityError, match=r"ai_adoption@yn-2019.*ai_adoption@list-2022"):
        decomposed(*waves, before_segment=ASKED_BEFORE)


def test_a_division_that_leaves_units_out_is_refused(waves) -> None:
    with pytest.raises(AxstatError, match="domains_do_not_add_up"):
        decomposed(*waves, whole=TOTAL, parts=AX)
