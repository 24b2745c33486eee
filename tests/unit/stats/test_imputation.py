"""Item imputation: what each method gives, in which order, from whom, and what is said of it."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from pipelines.errors import AxstatError, ViolationsError
from pipelines.stats.collapse import Coarsening
from pipelines.stats.donors import HotDeck
from pipelines.stats.imputation import Deductive, DeductiveRule, Imputation, LastWave, Step, impute
from pipelines.stats.nonresponse import CollapseRule

SIZE_IN_GROUP = CollapseRule(
    parts=("group", "size"),
    order=(Coarsening("size", "without size"), Coarsening("group", "without group")),
    min_respondents=2,
)


def deck(**options: object) -> HotDeck:
    return HotDeck(**{"classes": SIZE_IN_GROUP, "key": ("made-up", "2025"), **options})  # type: ignore[arg-type]


def units(rows: Sequence[tuple[str, str, str, object]], weight: float = 1.0) -> pl.DataFrame:
    """unit_id, group, size, y."""
    return pl.DataFrame(rows, schema=["unit_id", "group", "size", "y"], orient="row", strict=False).with_columns(
        pl.lit(weight).alias("weight")
    )


def run(frame: pl.DataFrame, *chain: Step, variables: Sequence[str] = ("y",)) -> Imputation:
    missing = frame.select(pl.col(list(variables)).is_null()).to_numpy()
    return impute(frame, variables=variables, missing=missing, chain=chain)


def population(n: int = 400, seed: int = 1) -> pl.DataFrame:
    """Two groups with answers of their own; a third of the answers missing; unequal weights."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], n)
    answer = np.where(group == "a", rng.choice(["1", "2"], n), rng.choice(["3", "4"], n))
    return pl.DataFrame(
        {
            "unit_id": [f"u{number:04d}" for number in range(n)],
            "group": group,
            "size": rng.choice(["s", "m"], n),
            "y": [None if lost else value for value, lost in zip(answer, rng.random(n) < 1 / 3, strict=True)],
            "weight": rng.choice([1.0, 5.0], n),
        }
    )


def test_the_chain_goes_on_with_what_is_left_and_flags_every_value() -> None:
    frame = units(
        [
            ("u1", "a", "s", None),
            ("u2", "a", "s", None),
            ("u3", "a", "s", None),
            ("u4", "a", "s", "2"),
            ("u5", "a", "s", "2"),
        ]
    )
    says_no = Deductive((DeductiveRule("y", np.array([True, False, False, True, False]), "1"),))
    before = LastWave(pl.DataFrame({"unit_id": ["u1", "u2", "u9"], "y": ["4", "3", "5"]}))
    made = run(frame, says_no, before, deck())
    # the answer of u4, which the deduction contradicts, stays: an answer is never replaced
    assert made.values["y"].to_list()[:2] == ["1", "3"]
    assert made.values["y"].to_list()[3:] == ["2", "2"]
    flags = dict(made.cells.select("unit_id", "method").iter_rows())
    assert flags == {"u1": "deductive", "u2": "last_wave", "u3": "hot_deck"}
    by_donor = made.cells.filter(pl.col("method") == "hot_deck").row(0, named=True)
    assert by_donor["value"] == {"u1": "1", "u4": "2", "u5": "2"}[by_donor["donor"]]
    assert by_donor["imputation_class"] == "a/s"
    assert made.cells.filter(pl.col("method") != "hot_deck")["donor"].null_count() == 2
    turned = run(frame, before, says_no, deck())
    assert turned.values["y"].to_list()[:2] == ["4", "3"]


def test_rates_count_imputed_values_among_those_in_use() -> None:
    frame = units([(f"u{k}", "a", "s", "2" if k < 6 else None) for k in range(10)]).with_columns(
        pl.when(pl.col("unit_id") == "u9").then(4.0).otherwise(1.0).alias("weight")
    )
    missing = np.array([[k in (7, 9)] for k in range(10)])
    made = impute(frame, variables=["y"], missing=missing, chain=[deck()])
    # u6 and u8 were not to be imputed: null as before, in no rate
    assert made.values["y"].null_count() == 2
    rates = {row["method"]: row for row in made.rates.iter_rows(named=True)}
    assert (rates["hot_deck"]["imputed"], rates["hot_deck"]["values"]) == (2, 8)
    assert rates["all"]["rate"] == pytest.approx(2 / 8)
    assert rates["all"]["weighted_rate"] == pytest.approx(5 / 11)
    assert rates["deductive"]["imputed"] == rates["last_wave"]["imputed"] == 0


def test_numbers_are_imputed_too() -> None:
    frame = units([("u1", "a", "s", 10.0), ("u2", "a", "s", 12.5), ("u3", "a", "s", None)])
    made = run(frame, deck())
    assert made.values["y"][2] in (10.0, 12.5)
    assert made.values["y"].dtype == pl.Float64


def test_donors_are_of_the_class_and_do_not_depend_on_the_order_of_rows() -> None:
    frame = population()
    made = run(frame, deck())
    joined = made.cells.join(frame, on="unit_id")
    assert set(joined.filter(pl.col("group") == "a")["value"]) == {"1", "2"}
    assert set(joined.filter(pl.col("group") == "b")["value"]) == {"3", "4"}
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=3)
    again = run(mixed, deck())
    assert again.cells.equals(made.cells)
    assert again.values.sort("unit_id").equals(made.values.sort("unit_id"))
    rows = np.flatnonzero(again.donor_row >= 0)
    assert mixed["unit_id"][again.donor_row[rows].tolist()].to_list() == [
        dict(made.cells.select("unit_id", "donor").iter_rows())[unit] for unit in mixed["unit_id"][rows.tolist()]
    ]
    other = run(frame, deck(key=("made-up", "2026")))
    assert not other.cells["donor"].equals(made.cells["donor"])


def test_donors_are_drawn_in_proportion_to_weight_or_alike() -> None:
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:05d}" for number in range(4002)],
            "group": "a",
            "size": "s",
            "y": ["heavy", "light", *[None] * 4000],
            "weight": [9.0, 1.0, *[1.0] * 4000],
        }
    )
    for by_weight, share in ((True, 0.9), (False, 0.5)):
        made = run(frame, deck(by_weight=by_weight))
        found = (made.cells["value"] == "heavy").mean()
        assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / 4000)


def test_a_donor_gives_at_most_so_often_where_that_is_possible() -> None:
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:03d}" for number in range(70)],
            "group": "a",
            "size": "s",
            "y": [*map(str, range(20)), *[None] * 50],
            "weight": [100.0, *[1.0] * 69],
        }
    )
    free = run(frame, deck()).cells.group_by("donor").len()
    assert free["len"].max() > 20
    limited = run(frame, deck(max_uses=3)).cells.group_by("donor").len()
    assert limited["len"].max() == 3
    # 50 values from 20 donors: with 2 each there are not enough, so each gives 2 before any gives a third
    tight = run(frame, deck(max_uses=2)).cells.group_by("donor").len()
    assert (tight.height, tight["len"].min(), tight["len"].max()) == (20, 2, 4)
    assert tight.filter(pl.col("len") > 2)["len"].sum() - 2 * tight.filter(pl.col("len") > 2).height == 10


def test_sparse_classes_collapse_in_the_stated_order() -> None:
    frame = units(
        [
            ("u1", "a", "s", None),
            ("u2", "a", "s", "1"),
            ("u3", "a", "m", "1"),
            ("u4", "b", "s", "3"),
            ("u5", "b", "s", "3"),
            ("u6", "b", "m", None),
            ("u7", "c", "s", "9"),
        ]
    )
    made = run(frame, deck())
    assert dict(made.cells.select("unit_id", "value").iter_rows()) == {"u1": "1", "u6": "3"}
    assert made.collapse is not None
    # c/s has one donor, but nobody takes from it: it is left alone
    assert sorted(made.collapse.log["step"].unique()) == ["without size"]
    assert "c/s" in made.collapse.cells.filter(pl.col("cell") == "c/s")["merged_cell"].to_list()


def test_a_class_without_donors_is_named() -> None:
    narrow = CollapseRule(parts=("group", "size"), order=(Coarsening("size", "without size"),), min_respondents=1)
    frame = units([("u1", "a", "s", None), ("u2", "b", "s", "3"), ("u3", "a", "m", None)])
    with pytest.raises(AxstatError) as caught:
        run(frame, deck(classes=narrow))
    assert caught.value.code == "class_without_donors"
    assert "classes a/" in caught.value.where
    assert "2 unit(s)" in caught.value.got
    assert "collapse order" in caught.value.hint


def test_what_goes_together_in_a_donor_goes_together_in_the_unit() -> None:
    rng = np.random.default_rng(5)
    both = rng.choice(["1", "4"], 300)
    lost = rng.random(300) < 0.3
    half = lost & (rng.random(300) < 0.5)
    frame = pl.DataFrame(
        {
            "unit_id": [f"u{number:03d}" for number in range(300)],
            "group": "a",
            "size": "s",
            "x": [None if gone else value for value, gone in zip(both, lost, strict=True)],
            "y": [None if gone else value for value, gone in zip(both, half, strict=True)],
            "weight": 1.0,
        }
    )
    made = run(frame, deck(), variables=("x", "y"))
    imputed = made.values.filter(pl.Series(half))
    assert (imputed["x"] == imputed["y"]).all()
    assert set(imputed["x"]) == {"1", "4"}
    # an answer given stays, and a unit that lacks one variable gives none
    assert made.values.filter(pl.Series(lost & ~half))["y"].equals(frame.filter(pl.Series(lost & ~half))["y"])
    assert not set(made.cells["donor"]) & set(frame.filter(pl.Series(lost))["unit_id"])


def test_last_waves_values_are_not_given_on_and_deduced_ones_are() -> None:
    frame = units([("u1", "a", "s", None), ("u2", "a", "s", None), ("u3", "a", "s", None), ("u4", "a", "s", "2")])
    classes = CollapseRule(parts=("group",), order=(), min_respondents=1)
    deduced = Deductive((DeductiveRule("y", np.array([False, True, False, False]), "1"),))
    before = LastWave(pl.DataFrame({"unit_id": ["u1"], "y": ["7"]}))
    assert run(frame, deduced, before, deck(classes=classes)).deck.donor.to_list() == ["u2", "u4"]  # type: ignore[union-attr]


def test_nothing_to_impute_leaves_everything_as_it_is() -> None:
    frame = units([("u1", "a", "s", "1"), ("u2", "a", "s", "2")])
    made = run(frame, deck())
    assert made.values.equals(frame.select("unit_id", "y"))
    assert (made.cells.height, made.deck, made.collapse) == (0, None, None)
    assert made.rates["imputed"].sum() == 0


def test_all_faults_are_reported_at_once() -> None:
    frame = units([("u1", "a", "s", "1"), ("u1", "a", "s", None), ("u3", "a", "s", None)]).with_columns(
        pl.Series("weight", [1.0, 0.0, 1.0])
    )
    everywhere = np.ones(3, dtype=bool)
    rules = Deductive((DeductiveRule("y", everywhere, "1"), DeductiveRule("y", everywhere, "2")))
    with pytest.raises(ViolationsError) as caught:
        impute(frame, variables=["y"], missing=np.ones((3, 1), dtype=bool), chain=[rules, deck()])
    text = str(caught.value)
    for code in ("unit_repeated", "value_is_there", "weight_invalid", "deduction_contradicted"):
        assert code in text


def test_a_class_part_that_is_missing_is_named() -> None:
    frame = units([("u1", "a", "s", None), ("u2", None, "s", "1"), ("u3", "a", "s", "1")])  # type: ignore[list-item]
    with pytest.raises(AxstatError) as caught:
        run(frame, deck())
    assert (caught.value.code, caught.value.where) == ("class_part_missing", "units u2")
