"""Columns of models, named and ordered as R's model.matrix does it. Errors are tested through fit_model."""

from typing import Any

import numpy as np
import polars as pl

from pipelines.stats.arrays import FloatArray
from pipelines.stats.model_matrix import model_matrix


def matrix_of(frame: pl.DataFrame, terms: list[str], **options: Any) -> tuple[tuple[str, ...], FloatArray]:
    made = model_matrix(frame, terms, rows=np.ones(frame.height, dtype=np.bool_), **options)
    return made.names, made.values


def test_columns_are_named_and_ordered_as_in_r() -> None:
    """``colnames(model.matrix(~ g:x + x + g + factor(year), …))``: main terms first, then interactions."""
    frame = pl.DataFrame({"g": ["b", "a", "c"], "x": [1.0, 2.0, 3.0], "year": [2023.0, 2024.0, 2025.0]})
    names, values = matrix_of(frame, ["g:x", "x", "g", "year"], categorical=["year"])
    assert names == ("(Intercept)", "x", "gb", "gc", "year2024", "year2025", "gb:x", "gc:x")
    assert values[:, 6].tolist() == [1.0, 0.0, 0.0]
    assert values[:, 7].tolist() == [0.0, 0.0, 3.0]
    assert values[:, 5].tolist() == [0.0, 0.0, 1.0]


def test_levels_of_numbers_are_in_their_order() -> None:
    frame = pl.DataFrame({"size": [10, 9, 100, 9], "y": [1, 2, 3, 4]})
    assert matrix_of(frame, ["size"], categorical=["size"])[0] == ("(Intercept)", "size10", "size100")


def test_without_intercept_the_first_factor_has_all_its_levels() -> None:
    """``colnames(model.matrix(~ g + x + u + g:x - 1, …))``: interactions keep their contrasts."""
    frame = pl.DataFrame({"g": ["b", "a", "c"], "x": [1.0, 2.0, 3.0], "u": ["n", "m", "n"]})
    names, values = matrix_of(frame, ["g", "x", "u", "g:x"], intercept=False)
    assert names == ("ga", "gb", "gc", "x", "un", "gb:x", "gc:x")
    assert values[1].tolist() == [1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]
