"""Plans from files: counted frames, cells, answers, targets, what is promised and what is refused."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.planning.run import ALLOCATION_COLUMNS, PRECISION_COLUMNS
from tests.unit.planning.conftest import Plan

TABLE = {"file": "s.csv", "by": ["industry", "region"], "population": "firms"}
SPREAD = [{"id": "m", "spread": "share"}]
SHARE = [{"id": "m", "proportion": "share"}]
DOMAINS = [{"id": "total"}, {"id": "industry", "by": ["industry"]}]
TARGETS = [{"domain": "total", "measure": "m", "se": 0.02}, {"domain": "industry", "measure": "m", "se": 0.035}]


def test_targets_are_met_and_the_table_adds_up(run: Plan, strata: pl.DataFrame) -> None:
    made = run(
        {"s.csv": strata},
        strata={**TABLE, "cost": "cost", "response": "response", "take_all": {"region": ["04"]}},
        measures=SHARE,
        domains=DOMAINS,
        targets=TARGETS,
    )
    allocation, precision = made.allocation, made.precision
    assert allocation.columns == ["industry", "region", *ALLOCATION_COLUMNS]
    assert tuple(precision.columns) == PRECISION_COLUMNS
    assert allocation["region"].to_list() == ["01", "02", "03", "04"] * 2
    assert allocation.filter(pl.col("region") == "04")["limit"].to_list() == ["take_all"] * 2
    assert precision["met"].all()
    # The promise by hand: V = sum (N/N_d)^2 N p (1 - p)/(N - 1) (E(1/n) - 1/N), E(1/n) = 1/(r g) + (1 - r)/(r g)^2.
    n, p, r, g = (
        table[name].to_numpy().astype(float)
        for table, name in ((strata, "firms"), (strata, "share"), (strata, "response"), (allocation, "drawn"))
    )
    v = n * p * (1 - p) / (n - 1) * (1 / (r * g) + (1 - r) / (r * g) ** 2 - 1 / n)
    for row, inside in zip(precision.to_dicts(), (np.ones(8), np.arange(8) < 4, np.arange(8) >= 4), strict=True):
        assert row["population"] == (n * inside).sum()
        assert row["mean"] == pytest.approx((n * p * inside).sum() / (n * inside).sum())
        assert row["se"] == pytest.approx(np.sqrt((n**2 * v * inside).sum()) / (n * inside).sum())
        assert row["cv"] == pytest.approx(row["se"] / row["mean"])
        assert row["respondents"] == pytest.approx((r * g * inside).sum())
    assert precision["domain"].to_list() == ["all", "industry=A", "industry=B"]
    assert made.notes[0].startswith(f"{allocation['drawn'].sum()} units drawn")
    assert allocation["cost"].to_list() == pytest.approx((g * strata["cost"].to_numpy()).tolist())


def test_rows_in_another_order_give_the_same_plan(run: Plan, strata: pl.DataFrame) -> None:
    keys = {"strata": TABLE, "measures": SHARE, "domains": DOMAINS, "targets": TARGETS}
    first = run({"s.csv": strata}, **keys)
    again = run({"s.csv": strata.sample(fraction=1.0, shuffle=True, seed=5)}, **keys)
    assert first.allocation.drop("exact").equals(again.allocation.drop("exact"))
    assert first.allocation["exact"].to_list() == pytest.approx(again.allocation["exact"].to_list())


def test_a_frame_is_counted(run: Plan, strata: pl.DataFrame) -> None:
    frame = strata.select(pl.all().exclude("firms").repeat_by("firms").explode())
    keys = {"measures": SHARE, "domains": DOMAINS, "targets": TARGETS}
    counted = run({"s.csv": frame}, strata={key: TABLE[key] for key in ("file", "by")}, **keys)
    given = run({"s.csv": strata}, strata=TABLE, **keys)
    assert counted.allocation.equals(given.allocation)
    assert counted.precision.equals(given.precision)


def test_a_domain_that_cuts_across_strata(run: Plan, strata: pl.DataFrame) -> None:
    """Two cells in each stratum, one of them the domain; the spread is that of the units' own z."""
    cells = pl.concat(
        [
            strata.with_columns(pl.lit(cell).alias("ax"), (pl.col("firms") * part).alias("firms"), share.alias("share"))
            for cell, part, share in (("yes", 1, pl.col("share")), ("no", 3, pl.col("share") / 2))
        ]
    )
    made = run(
        {"s.csv": cells},
        strata=TABLE,
        measures=SHARE,
        domains=[{"id": "ax", "where": {"ax": "yes"}}],
        allocation={"method": "proportional", "size": 900},
    )
    (row,) = made.precision.to_dicts()
    drawn = made.allocation["drawn"].to_numpy()
    firms, share = strata["firms"].to_numpy(), strata["share"].to_numpy()
    centre = (firms * share).sum() / firms.sum()
    variance = 0.0
    for units, p, g in zip(firms, share, drawn, strict=True):
        ones = p * units
        # z of the units: 1 - centre, -centre, and 0 outside; shares need not be whole numbers of units.
        squares = ones * (1 - centre) ** 2 + (units - ones) * centre**2
        total = ones - units * centre
        s2 = (squares - total**2 / (4 * units)) / (4 * units - 1)
        variance += (4 * units) ** 2 * s2 * (1 / g - 1 / (4 * units))
    assert row["se"] == pytest.approx(np.sqrt(variance) / firms.sum(), rel=1e-3)
    assert row["mean"] == pytest.approx(centre)


def test_means_and_spreads_from_answers(run: Plan, strata: pl.DataFrame) -> None:
    answers = pl.DataFrame(
        {
            "region": ["01", "01", "01", "02", "02", "03", "03", "04", "04", "04"],
            "adopts": [1, 0, 0, 1, 0, 1, 1, 0, 1, None],
            "spend": [3.0, 5.0, 4.0, 1.0, 2.0, 7.0, 9.0, 1.0, 4.0, 2.0],
            "w": [2.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 2.0, 2.0, 9.0],
        }
    )
    made = run(
        {"s.csv": strata, "a.csv": answers},
        strata=TABLE,
        measures=[
            {"id": "m", "answers": {"file": "a.csv", "value": "adopts", "weight": "w", "by": ["region"]}},
            {"id": "spend", "answers": {"file": "a.csv", "value": "spend", "by": ["region"]}},
        ],
        domains=[{"id": "region", "by": ["region"]}],
        allocation={"method": "neyman", "measure": "spend", "size": 400},
    )
    shares = made.precision.filter(pl.col("measure") == "m")
    assert shares["mean"].to_list() == pytest.approx([2 / 4, 1 / 4, 1.0, 2 / 4])
    assert shares["se"][2] == 0
    assert any("without any spread in parts of 2 strata" in note for note in made.notes)
    spend = made.precision.filter(pl.col("measure") == "spend")
    assert spend["mean"].to_list() == pytest.approx([4.0, 1.5, 8.0, 7 / 3])
    # Within region 03: S^2 = 2 in both strata.
    drawn = made.allocation.filter(pl.col("region") == "03")["drawn"].to_numpy()
    firms = np.array([250, 600])
    assert spend["se"][2] == pytest.approx(np.sqrt((firms**2 * 2.0 * (1 / drawn - 1 / firms)).sum()) / 850)


def test_cells_with_too_few_answers_take_those_of_the_cell_around_them(run: Plan, strata: pl.DataFrame) -> None:
    answers = pl.DataFrame(
        {
            "industry": ["A"] * 5 + ["B"] * 3,
            "region": ["01", "01", "01", "02", "02", "01", "01", "04"],
            "adopts": [1, 0, 0, 1, 1, 0, 0, 1],
        }
    )
    measure = {"file": "a.csv", "value": "adopts", "by": ["industry", "region"]}
    keys = {"strata": TABLE, "domains": [{"id": "each", "by": ["industry", "region"]}]}
    asked = {"allocation": {"method": "proportional", "size": 400}}
    tables = {"s.csv": strata, "a.csv": answers}
    made = run(tables, measures=[{"id": "m", "answers": measure}], **keys, **asked)
    # A/03, A/04: 3 of 5 of industry A; B/02 to B/04: 1 of 3 of industry B, whose region 04 has one answer.
    assert made.precision["mean"].to_list() == pytest.approx([1 / 3, 1.0, 3 / 5, 3 / 5, 0.0, 1 / 3, 1 / 3, 1 / 3])
    assert any("cells A/03, A/04, B/02, B/03, B/04 have fewer than 2 answers" in note for note in made.notes)
    coarser = run(tables, measures=[{"id": "m", "answers": {**measure, "least": 4}}], **keys, **asked)
    assert coarser.precision["mean"].to_list() == pytest.approx([3 / 5] * 4 + [1 / 2] * 4)
    assert any("by no column" in note for note in coarser.notes)
    with pytest.raises(ViolationsError, match="too_few_answers"):
        run(tables, measures=[{"id": "m", "answers": {**measure, "least": 9}}], **keys, **asked)


def test_targets_no_sample_can_meet_are_named(run: Plan, strata: pl.DataFrame) -> None:
    with pytest.raises(ViolationsError) as raised:
        run(
            {"s.csv": strata},
            strata={**TABLE, "response": 0.4},
            measures=SHARE,
            domains=DOMAINS,
            targets=[{"domain": "industry", "measure": "m", "se": 0.01}],
        )
    places = [fault.where for fault in raised.value.violations]
    assert places == ["target industry (industry=A), m", "target industry (industry=B), m"]
    assert "strata A/01, A/02, A/03, A/04" in raised.value.violations[0].got


def test_cv_targets_and_change(run: Plan, strata: pl.DataFrame) -> None:
    made = run(
        {"s.csv": strata},
        strata=TABLE,
        measures=SHARE,
        domains=DOMAINS,
        targets=[{"domain": "industry", "measure": "m", "cv": 0.1}],
        change={"overlap": 0.0, "correlation": 0.0},
    )
    by_domain = {row["domain"]: row for row in made.precision.to_dicts()}
    for name in ("industry=A", "industry=B"):
        row = by_domain[name]
        assert row["cv"] <= 0.1 * (1 + 1e-9)
        assert row["target_se"] == pytest.approx(0.1 * row["mean"])
        # Two samples without covariance: (1.959964 + 0.841621) sqrt 2 SE.
        assert row["detectable_change"] == pytest.approx((1.959964 + 0.841621) * np.sqrt(2) * row["se"], rel=1e-6)
    assert by_domain["all"]["met"] is None
    assert by_domain["all"]["target_se"] is None


def test_a_size_too_small_for_the_targets_says_which_are_missed(run: Plan, strata: pl.DataFrame) -> None:
    made = run(
        {"s.csv": strata},
        strata=TABLE,
        measures=SHARE,
        domains=DOMAINS,
        targets=TARGETS,
        allocation={"method": "power", "measure": "m", "exponent": 0.5, "size": 100},
    )
    assert made.allocation["drawn"].sum() == 100
    assert not made.precision["met"].any()
    assert any("targets missed: all (m), industry=A (m), industry=B (m)" in note for note in made.notes)


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"strata": {**TABLE, "population": "frms"}}, "unknown_column", "strata.population"),
        ({"strata": {**TABLE, "cost": "region"}}, "cost_not_valid", "strata"),
        ({"strata": {**TABLE, "cost": "industry"}}, "not_a_number", "file s.csv, column 'industry'"),
        ({"strata": {**TABLE, "by": ["industry"], "response": "response"}}, "varies_in_stratum", "strata.response"),
        (
            {"strata": {**TABLE, "by": ["industry"]}, "measures": [{"id": "m", "spread": "share"}]},
            "mean_missing",
            "measure m",
        ),
        ({"measures": [{"id": "m", "proportion": "cost"}]}, "figure_not_valid", "measure m, column 'cost'"),
        (
            {"domains": [{"id": "total"}, {"id": "industry", "where": {"region": "1"}}]},
            "empty_domain",
            "domains[1], industry",
        ),
        (
            {
                "measures": SPREAD,
                "targets": [{"domain": "total", "measure": "m", "cv": 0.1}],
            },
            "no_mean",
            "targets[0], all",
        ),
    ],
)
def test_what_the_files_do_not_bear_out(
    run: Plan, strata: pl.DataFrame, change: dict[str, object], code: str, where: str
) -> None:
    keys = {"strata": TABLE, "measures": SHARE, "domains": DOMAINS, "targets": TARGETS} | change
    table = strata.with_columns(pl.when(pl.col("region") == "04").then(0.0).otherwise("cost").alias("region_cost"))
    if code == "cost_not_valid":
        keys["strata"] = {**TABLE, "cost": "region_cost"}
    with pytest.raises(AxstatError) as raised:
        run({"s.csv": table}, **keys)
    assert raised.value.code == code
    fault = raised.value.violations[0] if isinstance(raised.value, ViolationsError) else raised.value
    assert fault.where.startswith(where)


def test_a_missing_label_names_its_rows(run: Plan, strata: pl.DataFrame) -> None:
    table = strata.with_columns(pl.when(pl.col("firms") == 250).then(None).otherwise("region").alias("region"))
    with pytest.raises(ViolationsError) as raised:
        run({"s.csv": table}, strata=TABLE, measures=SHARE, domains=DOMAINS, targets=TARGETS)
    assert raised.value.violations[0].rows == (3,)


def test_an_allocation_that_is_given_is_only_looked_at(run: Plan, strata: pl.DataFrame) -> None:
    keys = {"strata": TABLE, "measures": SHARE, "domains": DOMAINS, "targets": TARGETS}
    planned = run({"s.csv": strata}, **keys)
    table = strata.with_columns(planned.allocation["drawn"])
    given = run({"s.csv": table}, **keys, allocation={"method": "given", "drawn": "drawn"})
    assert given.allocation["drawn"].to_list() == planned.allocation["drawn"].to_list()
    assert given.precision.drop("saving").equals(planned.precision.drop("saving"))
    too_many = table.with_columns(pl.when(pl.col("firms") == 80).then(81).otherwise("drawn").alias("drawn"))
    with pytest.raises(AxstatError, match="strata B/02"):
        run({"s.csv": too_many}, **keys, allocation={"method": "given", "drawn": "drawn"})


def test_labels_with_slashes_stay_apart(run: Plan) -> None:
    table = pl.DataFrame({"a": ["x/y", "x"], "b": ["z", "y/z"], "N": [50, 70], "p": [0.2, 0.5]})
    made = run(
        {"s.csv": table},
        strata={"file": "s.csv", "by": ["a", "b"], "population": "N"},
        measures=[{"id": "m", "proportion": "p"}],
        domains=[{"id": "total"}],
        allocation={"method": "proportional", "size": 12},
    )
    assert made.allocation.select("a", "b", "drawn").rows() == [("x", "y/z", 7), ("x/y", "z", 5)]
