"""Terms of a frame as a matrix, and what is said of terms that cannot be read."""

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ViolationsError
from pipelines.stats.terms import cross_codes, joint_cells, split_by_weight, terms_matrix, unit_means, unit_shares


def test_terms_by_hand() -> None:
    frame = pl.DataFrame({"sex": ["A", "B", "B"], "ind": [1.0, 2.0, 1.0], "emp": [3, 4, 5], "ai": [True, False, True]})
    terms = ["1", "sex=B", "ind=1", "emp", "sex=B:emp", "sex=B:ind=1", "ai", "ai=true"]
    matrix = terms_matrix(frame, terms)
    assert matrix.patterns.tolist() == [
        [1, 0, 1, 3, 0, 0, 1, 1],
        [1, 1, 0, 4, 4, 0, 0, 0],
        [1, 1, 1, 5, 5, 1, 1, 1],
    ]
    assert matrix.pattern is None


def test_categories_are_kept_as_patterns() -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"sex": rng.choice(["A", "B"], 500), "reg": rng.choice(["N", "S", "W"], 500)})
    terms = ["1", "sex=B", "reg=N", "sex=B:reg=N"]
    matrix = terms_matrix(frame, terms)
    assert matrix.patterns.shape == (4, 4)
    is_b, is_n = (frame["sex"] == "B").to_numpy(), (frame["reg"] == "N").to_numpy()
    np.testing.assert_array_equal(
        matrix.spread(matrix.patterns), np.column_stack([np.ones(500), is_b, is_n, is_b & is_n])
    )


def test_names_may_hold_the_marks() -> None:
    frame = pl.DataFrame({"a=b": [1.5, 2.5], "time": ["10:00", "11:00"]})
    assert terms_matrix(frame, ["a=b", "time=10:00"]).patterns.tolist() == [[1.5, 1.0], [2.5, 0.0]]


def test_faulty_terms_are_named() -> None:
    frame = pl.DataFrame({"sex": ["A", "B", None], "region": ["N", "S", "S"], "emp": [1.0, np.nan, np.inf]})
    terms = ["emp", "emp", "sexx=B", "region=Nn", "region", "sex=B", "emp:regoin=N"]
    with pytest.raises(ViolationsError) as error:
        terms_matrix(frame, terms)
    found = [(v.code, v.where, v.hint, v.rows) for v in error.value.violations]
    advice = "impute it, or give these rows a level of their own with its total"
    assert found == [
        ("term_repeated", "term emp", "drop one", ()),
        ("unknown_column", "term sexx=B", "did you mean sex?", ()),
        ("unknown_level", "term region=Nn", "did you mean N?", ()),
        ("level_missing", "term region", "write region=N", ()),
        ("unknown_column", "term emp:regoin=N", "did you mean region?", ()),
        ("calibration_variable_missing", "calibration variable sex", advice, (3,)),
        ("calibration_variable_missing", "calibration variable emp", advice, (2, 3)),
    ]


def test_blanks_of_a_name_are_seen() -> None:
    with pytest.raises(ViolationsError) as error:
        terms_matrix(pl.DataFrame({"sex": ["A"], " stratum": ["N"]}), ["stratum=N"])
    (fault,) = error.value.violations
    assert fault.expected == "a column: sex, ' stratum'"
    assert (fault.got, fault.hint) == ("stratum", "did you mean ' stratum'?")


@pytest.mark.parametrize("spread", [1, 10_000])
def test_joint_codes_are_those_of_the_pairs(spread: int) -> None:
    """Small code ranges are counted, wide ones sorted: the cells are the same."""
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 7, 300), rng.integers(0, 5, 300)
    cell, parts = cross_codes([a * spread, b * spread], [6 * spread + 1, 4 * spread + 1])
    pairs, expected = np.unique(np.column_stack([a, b]), axis=0, return_inverse=True)
    np.testing.assert_array_equal(cell, expected)
    np.testing.assert_array_equal(np.column_stack(parts), pairs * spread)


def test_unit_means_by_hand() -> None:
    frame = pl.DataFrame({"hh": [7, 7, 9], "sex": [*"ABB"], "emp": [2.0, 4.0, 5.0]})
    matrix = unit_means(terms_matrix(frame, ["1", "sex=A", "emp"]), frame["hh"], np.array([2.0, 2.0, 3.0]))
    assert matrix.patterns.tolist() == [[1.0, 0.5, 3.0], [1.0, 0.0, 5.0]]
    assert matrix.pattern is not None
    assert matrix.pattern.tolist() == [0, 0, 1]
    # Sums over the rows stay what they were.
    assert (matrix.patterns.T @ matrix.row_counts()).tolist() == [3.0, 1.0, 11.0]


def test_weights_that_differ_within_a_unit_are_refused() -> None:
    frame = pl.DataFrame({"hh": [7, 7, 9, None]})
    matrix = terms_matrix(frame, ["1"])
    with pytest.raises(ViolationsError) as error:
        unit_means(matrix, frame["hh"], np.ones(4))
    assert [(v.code, v.rows) for v in error.value.violations] == [("calibration_variable_missing", (4,))]
    with pytest.raises(ViolationsError) as error:
        unit_means(matrix, pl.Series("hh", [7, 7, 9, 8]), np.array([1.0, 2.0, 1.0, 1.0]))
    (violation,) = error.value.violations
    assert (violation.code, violation.rows) == ("weights_differ_in_unit", (1, 2))
    assert violation.got == "1 unit(s) with several, first 7"


def test_shares_of_units_add_up_to_their_number() -> None:
    shares = unit_shares(pl.Series("hh", ["a", "b", "b", "c", "c", "c"]))
    assert shares.name == "unit_share"
    assert shares.to_list() == pytest.approx([1, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3])


def test_patterns_split_by_weight() -> None:
    frame = pl.DataFrame({"sex": [*"ABBA"]})
    matrix = terms_matrix(frame, ["sex=B"])
    split = split_by_weight(matrix, np.array([1.0, 1.0, 2.0, 1.0]))
    assert split.patterns.tolist() == [[0.0], [1.0], [1.0]]
    assert split.pattern is not None
    assert split.pattern.tolist() == [0, 1, 2, 0]
    assert split_by_weight(matrix, np.ones(4)) is matrix


@pytest.mark.parametrize("kind", [pl.Int16, pl.String, pl.Categorical, pl.Float64])
def test_joint_cells_are_those_of_codes_crossed(kind: pl.DataType) -> None:
    """Levels in the order of the labels (numbers as numbers), cells in the order of their levels."""
    rng = np.random.default_rng(4)
    columns = [pl.Series(name, rng.integers(low, low + size, 400)) for name, low, size in (("a", -3, 9), ("b", 95, 12))]
    columns = [column.cast(pl.String).cast(kind) if kind != pl.Float64 else column.cast(kind) for column in columns]
    joint = joint_cells(columns)
    labels = [
        [str(label) for label in (column.cast(pl.String) if kind == pl.Categorical else column).unique().sort()]
        for column in columns
    ]
    assert joint.labels == labels
    text = [[known[level] for level in levels] for known, levels in zip(labels, joint.levels, strict=True)]
    for column, known in zip(columns, text, strict=True):
        assert [known[cell] for cell in joint.cell] == [str(label) for label in column]
    np.testing.assert_array_equal(joint.rows, np.bincount(joint.cell))
    pairs = list(zip(*[levels.tolist() for levels in joint.levels], strict=True))
    assert pairs == sorted(set(pairs))


def test_joint_cells_of_columns_with_many_labels() -> None:
    rng = np.random.default_rng(5)
    columns = [pl.Series(name, rng.permutation(600)) for name in "ab"]
    joint = joint_cells(columns)
    assert len(joint.rows) == 600
    assert [int(joint.labels[0][level]) for level in joint.levels[0][joint.cell]] == columns[0].to_list()
