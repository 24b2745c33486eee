"""Adoption rates: bases, weightings, domains, what an estimate row says."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.rates import RATE_SCHEMA, adoption_rates
from pipelines.stats.survey_wave import Domain, Wave
from pipelines.stats.weighting import weight_sample

DOMAINS = (
    Domain("total"),
    Domain("ax_total", where_not_null="ax"),
    Domain("ax_industry", ("ax",)),
    Domain("size_class", ("size_class",)),
    Domain("ax_industry*region", ("ax", "region")),
)


def small(**changes: list[object]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Four respondents and an out-of-scope unit of a stratum of 20; weights 4; one don't know."""
    columns: dict[str, list[object]] = {
        "unit_id": ["a", "b", "c", "d", "e"],
        "status": ["respondent"] * 4 + ["out_of_scope"],
        "variance_stratum": ["s"] * 5,
        "stratum_n": [5] * 5,
        "stratum_population": [20] * 5,
        "weight": [4.0] * 5,
        "post_stratum": ["p"] * 5,
        "employment": [10, 20, 30, 40, 50],
        "region": ["r1", "r1", "r2", "r2", "r2"],
    }
    units = pl.DataFrame(columns | changes, strict=False)
    answers = pl.DataFrame(
        {
            "unit_id": ["a", "b", "c", "d"],
            "field": [""] * 4,
            "measure": ["ai_adoption"] * 4,
            "value": [1.0, 0.0, None, 1.0],
            "answer_status": ["answered", "answered", "dont_know", "answered"],
        }
    )
    frame = pl.DataFrame(
        {
            "unit_id": ["a", "b", "c", "d", "e", "f"],
            "take_all": [False] * 6,
            "employment": [10, 20, 30, 40, 50, 60],
            "region": ["r1", "r1", "r2", "r2", "r2", "r3"],
        }
    )
    return units, answers, frame


def one(rates: pl.DataFrame, **key: str) -> dict[str, object]:
    found = rates.filter(*[pl.col(name) == value for name, value in key.items()])
    assert found.height == 1
    return found.row(0, named=True)


def test_bases_and_weightings_by_hand() -> None:
    units, answers, frame = small()
    rates = adoption_rates(units, answers, frame=frame, domains=[Domain("total")], measures=["ai_adoption"])
    expected = {
        ("answered", "unit"): (3, 1, 0, 2 / 3, 16.0),
        ("answered", "employment"): (3, 1, 0, 50 / 70, 400.0),
        ("incl_dont_know", "unit"): (4, 1, 0, 2 / 4, 16.0),
        ("incl_dont_know", "employment"): (4, 1, 0, 50 / 100, 400.0),
    }
    assert rates.height == 4
    for (base, weighting), (n, dont_know, missing, estimate, population) in expected.items():
        row = one(rates, base=base, unit_weighting=weighting)
        assert (row["n"], row["n_dont_know"], row["n_missing"]) == (n, dont_know, missing)
        assert row["estimate"] == pytest.approx(estimate)
        assert row["population"] == pytest.approx(population)
        assert row["adopters"] == pytest.approx(estimate * population)
        assert (row["domain_type"], row["domain_code"], row["measure"]) == ("total", "total", "ai_adoption")
        assert row["df"] == n - 1
        assert row["census"] is False


def test_variance_by_hand() -> None:
    """z = 4 (y - 2/3)/12 for a, b, d, 0 for c and e; z sums to 0 in the only post-stratum: no residual to take.

    V = (1 - 3/4 5/20) 5/4 (1/81 + 4/81 + 1/81): three of the domain's four units answered (decision 0005).
    """
    units, answers, frame = small()
    rates = adoption_rates(units, answers, frame=frame, domains=[Domain("total")], measures=["ai_adoption"])
    row = one(rates, base="answered", unit_weighting="unit")
    item = 0.25 * 0.25 * 1.25 * 6 / 81
    assert row["se"] == pytest.approx(np.sqrt(0.75 * 1.25 * 6 / 81 + item))
    # adopters: u = P z + R w d, P = 16, R = 2/3, minus the post-stratum's mean of u over its weights. The
    # population does not depend on who answered, so item non-response adds P^2 times what it adds to the rate.
    z = np.array([1, -2, 0, 1, 0]) * 4 / 3 / 12
    u = 16 * z + 2 / 3 * 4 * np.array([1, 1, 1, 1, 0])
    e = u - u.sum() / 5
    assert row["adopters_se"] == pytest.approx(np.sqrt(0.75 * 1.25 * np.square(e - e.mean()).sum() + 256 * item))
    full = one(rates, base="incl_dont_know", unit_weighting="unit")
    # All four are in this base: z = 4 (y - 1/2)/16, and 1 - f is as it was.
    assert full["se"] == pytest.approx(np.sqrt(0.75 * 1.25 * 4 / 64))


def test_item_non_response_in_a_fully_enumerated_stratum() -> None:
    """N = 40 units all respond, a of the N_d units of a region answer: as if a of N_d had been drawn at random.

    (1 - a/N_d) S^2/a with S^2 = sum (y - p)^2/(a - 1), times N/(N - 1) (a - 1)/a: the linearisation counts units
    outside the base as zeros, so it divides by N - 1 of the stratum and not by a - 1.
    """
    rng = np.random.default_rng(12)
    ids = [f"{number:02d}" for number in range(40)]
    region = ["r1" if number < 25 else "r2" for number in range(40)]
    y = rng.integers(0, 2, 40).astype(float)
    answered = np.array([number % 5 != 0 for number in range(40)])
    units = pl.DataFrame(
        {
            "unit_id": ids,
            "status": "respondent",
            "variance_stratum": "s",
            "stratum_n": 40,
            "stratum_population": 40,
            "weight": 1.0,
            "post_stratum": region,
            "employment": 10,
            "region": region,
        }
    )
    answers = pl.DataFrame(
        {
            "unit_id": ids,
            "field": "",
            "measure": "ai_adoption",
            "value": [float(value) if there else None for value, there in zip(y, answered, strict=True)],
            "answer_status": ["answered" if there else "refused" for there in answered],
        }
    )
    frame = units.select("unit_id", "employment", "region", pl.lit(True).alias("take_all"))
    rates = adoption_rates(
        units, answers, frame=frame, domains=[Domain("region", ("region",))], measures=["ai_adoption"]
    )
    for code, size in (("r1", 25), ("r2", 15)):
        inside = answered & (np.array(region) == code)
        a = int(inside.sum())
        assert a == size * 4 / 5
        simple = (1 - a / size) * y[inside].var(ddof=1) / a
        row = one(rates, domain_code=code, base="answered", unit_weighting="unit")
        assert row["se"] == pytest.approx(np.sqrt(simple * 40 / 39 * (a - 1) / a), rel=1e-12)
        assert row["estimate"] == pytest.approx(y[inside].mean())
        assert row["adopters_se"] == pytest.approx(size * row["se"], rel=1e-9)


def test_every_domain_of_the_frame_has_a_row() -> None:
    units, answers, frame = small()
    rates = adoption_rates(
        units,
        answers,
        frame=frame,
        domains=[Domain("region", ("region",))],
        measures=["ai_adoption"],
        bases=["answered"],
    )
    assert rates["domain_code"].unique().to_list() == ["r1", "r2", "r3"] or sorted(set(rates["domain_code"])) == [
        "r1",
        "r2",
        "r3",
    ]
    empty = one(rates, domain_code="r3", unit_weighting="unit")
    assert (empty["n"], empty["estimate"], empty["se"], empty["ci_low"], empty["adopters"]) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert (empty["reliability"], empty["reliability_reason"]) == ("suppress", "no_respondents")
    assert empty["population"] == 0.0
    # One respondent answered in r2 (c does not know): p = 1 on one unit, never a zero width.
    single = one(rates, domain_code="r2", unit_weighting="unit")
    assert (single["n"], single["estimate"], single["ci_high"], single["df"]) == (1, 1.0, 1.0, 0)
    assert single["ci_low"] < 0.1
    assert single["reliability"] == "suppress"


def test_zero_employment_leaves_no_share() -> None:
    units, answers, frame = small(employment=[0, 0, 30, 0, 50])
    rates = adoption_rates(
        units, answers, frame=frame, domains=[Domain("total")], measures=["ai_adoption"], bases=["answered"]
    )
    row = one(rates, unit_weighting="employment")
    assert (row["n"], row["estimate"], row["se"], row["adopters"]) == (3, None, None, None)
    assert row["reliability_reason"] == "no_estimate"
    assert one(rates, unit_weighting="unit")["estimate"] == pytest.approx(2 / 3)


def test_schema_order_and_domains(country, plan) -> None:
    sample = country.sample()
    units = country.classified(weight_sample(sample, country.frame, plan=plan).weights)
    answers = country.answers(sample)
    measures = ["ai_adoption", "stage_pilot"]
    rates = adoption_rates(units, answers, frame=country.frame, domains=DOMAINS, measures=measures)
    assert rates.schema == pl.Schema(RATE_SCHEMA)
    types = [domain.type for domain in DOMAINS]
    assert rates["domain_type"].unique(maintain_order=True).to_list() == types
    assert rates["measure"].unique(maintain_order=True).to_list() == measures
    assert rates.select(*list(RATE_SCHEMA)[:5]).is_duplicated().any() is False
    # 1 + 1 + 3 + 3 + 3x4 domains, 2 measures, 2 bases, 2 weightings.
    assert rates.height == 20 * 8
    crossed = rates.filter(pl.col("domain_type") == "ax_industry*region")["domain_code"].unique().sort().to_list()
    assert crossed[0] == "AX1*r1"
    assert len(crossed) == 12
    again = adoption_rates(
        units.sample(fraction=1.0, shuffle=True, seed=8),
        answers.sample(fraction=1.0, shuffle=True, seed=9),
        frame=country.frame.sample(fraction=1.0, shuffle=True, seed=10),
        domains=DOMAINS,
        measures=measures,
    )
    assert rates.equals(again)


def test_partitions_add_up_to_the_total(country, plan) -> None:
    sample = country.sample()
    units = country.classified(weight_sample(sample, country.frame, plan=plan).weights)
    rates = adoption_rates(
        units,
        country.answers(sample),
        frame=country.frame,
        domains=DOMAINS,
        measures=["ai_adoption"],
        bases=["answered"],
    ).filter(pl.col("unit_weighting") == "unit")
    by_type = rates.group_by("domain_type").agg(pl.col("population", "n").sum())
    value = {row[0]: row[1:] for row in by_type.iter_rows()}
    assert value["size_class"] == pytest.approx(value["total"])
    assert value["ax_industry"] == pytest.approx(value["ax_total"])
    assert value["ax_industry*region"] == pytest.approx(value["ax_total"])
    assert value["ax_total"][0] < value["total"][0]


def test_full_census_domain(country, plan) -> None:
    """All take-all and all answered: the estimate is the population's value, SE 0, published."""
    frame = country.frame.with_columns(pl.lit(True).alias("take_all"))
    sample = frame.select(
        "unit_id", "selection_stratum", pl.lit(1.0).alias("inclusion_probability"), pl.lit("respondent").alias("status")
    )
    units = country.classified(weight_sample(sample, frame, plan=plan).weights)
    answers = frame.select(
        "unit_id",
        pl.lit("").alias("field"),
        pl.lit("ai_adoption").alias("measure"),
        pl.col("y1").cast(pl.Float64).alias("value"),
        pl.lit("answered").alias("answer_status"),
    )
    rates = adoption_rates(units, answers, frame=frame, domains=DOMAINS, measures=["ai_adoption"], bases=["answered"])
    assert rates["census"].all()
    assert (rates["se"] == 0.0).all()
    assert (rates["adopters_se"] == 0.0).all()
    assert (rates["ci_low"] == rates["ci_high"]).all()
    assert set(rates["reliability"]) == {"publish"}
    assert set(rates["reliability_reason"]) == {"census_full_response"}
    total = one(rates, domain_type="total", unit_weighting="unit")
    assert total["estimate"] == pytest.approx(frame["y1"].mean(), rel=1e-12)
    assert total["deff"] is None


def test_take_all_domain_with_item_non_response_has_a_width() -> None:
    """Five of five units respond, one does not know: the interval is what that one leaves open.

    SE: (1 - 4/5) 5/4 sum of (y - 1/2)^2/4^2 = 1/4 1/16 (decision 0005).
    """
    units, answers, frame = small(status=["respondent"] * 5, stratum_population=[5] * 5, weight=[1.0] * 5)
    answers = pl.concat(
        [answers, answers.tail(1).with_columns(pl.lit("e").alias("unit_id"), pl.lit(0.0).alias("value"))]
    )
    frame = frame.head(5).with_columns(pl.lit(True).alias("take_all"))
    rates = adoption_rates(units, answers, frame=frame, domains=[Domain("total")], measures=["ai_adoption"])
    row = one(rates, base="answered", unit_weighting="unit")
    assert (row["estimate"], row["census"]) == (0.5, True)
    assert row["se"] == pytest.approx(1 / 8)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(2 / 5), pytest.approx(3 / 5))
    by_employment = one(rates, base="answered", unit_weighting="employment")
    assert (by_employment["ci_low"], by_employment["ci_high"]) == (pytest.approx(50 / 150), pytest.approx(80 / 150))
    full = one(rates, base="incl_dont_know", unit_weighting="unit")
    assert (full["ci_low"], full["ci_high"], full["reliability_reason"]) == (0.4, 0.4, "census_full_response")


def test_a_take_all_domain_that_answered_in_full_is_known() -> None:
    """a and b are all of r1; for c, which is silent, the weights of the class rose to 5/4, but r1 is 1 of 2 as it was.

    By employment 10 of 30. The total is estimated: (5/4 1 + 5/4 1) / 5 by unit.
    """
    units, answers, frame = small(weight=[1.25] * 4 + [1.0], stratum_population=[6] * 5)
    frame = frame.with_columns(pl.lit(True).alias("take_all"))
    rates = adoption_rates(
        units, answers, frame=frame, domains=[Domain("total"), Domain("region", ("region",))], measures=["ai_adoption"]
    )
    row = one(rates, domain_code="r1", base="answered", unit_weighting="unit")
    assert [row[name] for name in ("estimate", "se", "ci_low", "ci_high")] == [0.5, 0.0, 0.5, 0.5]
    assert [row[name] for name in ("population", "adopters", "adopters_se")] == [2.0, 1.0, 0.0]
    assert row["reliability_reason"] == "census_full_response"
    by_employment = one(rates, domain_code="r1", base="answered", unit_weighting="employment")
    assert (by_employment["estimate"], by_employment["population"], by_employment["se"]) == (10 / 30, 30.0, 0.0)
    silent = one(rates, domain_code="total", base="answered", unit_weighting="unit")
    assert silent["population"] == 5.0
    assert silent["se"] > 0


def test_a_known_domain_with_a_missing_item_keeps_its_population() -> None:
    """r2 holds c, d (and e, out of scope); c does not know: 1 of the 1 that answered, of 2 units known."""
    units, answers, frame = small(weight=[1.25] * 4 + [1.0], stratum_population=[6] * 5)
    frame = frame.with_columns(pl.lit(True).alias("take_all"))
    rates = adoption_rates(
        units, answers, frame=frame, domains=[Domain("region", ("region",))], measures=["ai_adoption"]
    )
    row = one(rates, domain_code="r2", base="answered", unit_weighting="unit")
    assert (row["estimate"], row["population"], row["ci_low"], row["ci_high"]) == (1.0, 2.0, 0.5, 1.0)
    whole = one(rates, domain_code="r2", base="incl_dont_know", unit_weighting="unit")
    assert (whole["estimate"], whole["se"], whole["adopters"]) == (0.5, 0.0, 1.0)


def test_field_measures_only_in_domains_by_field() -> None:
    units, answers, frame = small()
    fields = pl.DataFrame(
        {
            "unit_id": ["a", "a", "b", "d"],
            "field": ["P01", "P02", "P01", "P02"],
            "measure": ["field_adoption"] * 4,
            "value": [1.0, 0.0, 0.0, 1.0],
            "answer_status": ["answered"] * 4,
        }
    )
    served = pl.DataFrame({"unit_id": ["a", "a", "b", "d", "f"], "field": ["P01", "P02", "P01", "P02", "P03"]})
    rates = adoption_rates(
        units,
        pl.concat([answers, fields]),
        frame=frame,
        frame_fields=served,
        domains=[Domain("total"), Domain("public_field", ("field",))],
        measures=["ai_adoption"],
        field_measures=["field_adoption"],
        bases=["answered"],
        unit_weightings=["unit"],
    )
    assert rates.select("domain_code", "measure", "n").rows() == [
        ("total", "ai_adoption", 3),
        ("P01", "field_adoption", 2),
        ("P02", "field_adoption", 2),
        ("P03", "field_adoption", 0),
    ]
    assert rates["population"].to_list() == [16.0, 8.0, 8.0, 0.0]


def test_refused_inputs() -> None:
    units, answers, frame = small()
    domains = [Domain("total")]

    def run(some_units: pl.DataFrame, some_answers: pl.DataFrame) -> None:
        adoption_rates(some_units, some_answers, frame=frame, domains=domains, measures=["ai_adoption"])

    with pytest.raises(ViolationsError, match="stratum_count_differs"):
        run(units.filter(pl.col("status") == "respondent"), answers)
    with pytest.raises(ViolationsError, match="answer_repeated"):
        run(units, pl.concat([answers, answers.head(1)]))
    with pytest.raises(ViolationsError, match="answer_without_respondent"):
        run(units, answers.with_columns(pl.col("unit_id").replace("a", "e")))
    with pytest.raises(ViolationsError, match="employment_invalid"):
        run(
            units.with_columns(pl.when(pl.col("unit_id") != "b").then(pl.col("employment")).alias("employment")),
            answers,
        )
    with pytest.raises(ViolationsError, match="unit_repeated"):
        run(pl.concat([units, units.head(1)]), answers)
    with pytest.raises(AxstatError, match="answer_not_a_share"):
        run(units, answers.with_columns(pl.col("value") * 7))


def test_no_measure_no_row() -> None:
    units, answers, frame = small()
    empty = adoption_rates(units, answers, frame=frame, domains=[Domain("total")], measures=[])
    assert empty.schema == pl.Schema(RATE_SCHEMA)
    assert empty.height == 0


def test_a_respondent_without_an_answer_row_counts_as_missing() -> None:
    units, answers, frame = small()
    rates = adoption_rates(
        units,
        answers.filter(pl.col("unit_id") != "a"),
        frame=frame,
        domains=[Domain("total")],
        measures=["ai_adoption"],
    )
    row = one(rates, base="incl_dont_know", unit_weighting="unit")
    assert (row["n"], row["n_missing"], row["n_dont_know"]) == (3, 1, 1)
    assert Wave.build(units, answers, frame=frame).responding.sum() == 4
