"""Columns of a regression model, made from those of a frame as R's ``model.matrix`` makes them.

Belongs here: numbers and labels of a frame as a model reads them, treatment contrasts, interactions. Does not belong
here: calibration terms (terms), any fit (scoring, models).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray
from pipelines.stats.terms import row_numbers, unknown_name, whole_numbers

INTERCEPT = "(Intercept)"

_Coded = tuple[FloatArray, list[str]]


@dataclass(frozen=True, eq=False)
class ModelMatrix:
    """Columns of a model: ``values`` ``(n, K)``, the R name of each and the term it comes from.

    ``complete`` ``(n,)`` marks the rows on which every term is present; the values elsewhere are 0. ``levels``
    holds the labels of each categorical column, the reference first.
    """

    values: FloatArray
    names: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    complete: BoolArray


def model_matrix(
    frame: pl.DataFrame,
    terms: Sequence[str],
    *,
    rows: BoolArray,
    intercept: bool = True,
    categorical: Sequence[str] = (),
    reference: Mapping[str, str] | None = None,
) -> ModelMatrix:
    """Columns of a model as R's ``model.matrix`` names and orders them: main terms first, then interactions.

    Args:
        rows: the rows ``(n,)`` that count: levels are those found on them where every term is present.
        intercept: without it the first categorical term gets a column for each of its levels.
        categorical: numeric columns to be taken as labels.
        reference: reference level by column.

    Raises:
        ViolationsError: a column, a reference level or a main term of an interaction that is not there; a column
            of one level; a value that is not finite.
    """
    reference = reference or {}
    mains = [term for term in terms if ":" not in term]
    crosses = [term for term in terms if ":" in term]
    check_columns(frame, [*columns_of(terms), *categorical, *reference], where="model")
    violations = [
        Violation(
            "interaction_without_main_terms",
            where=f"term {term!r}",
            expected="an interaction of two different columns that are terms themselves",
            got=f"terms {', '.join(mains) or 'none'}",
            hint="add both columns to the terms",
        )
        for term in crosses
        if len(set(term.split(":"))) != 2 or not set(term.split(":")) <= set(mains)
    ]
    violations += [
        Violation(
            "term_repeated", where=f"term {term!r}", expected="each term once", got="it again", hint="name it once"
        )
        for term in sorted({term for term in terms if list(terms).count(term) > 1})
    ]
    violations += [
        Violation(
            "reference_of_no_category",
            where=f"reference of {name!r}",
            expected="a categorical column among the terms",
            got="another column",
            hint="name it in the terms, and in categorical if it holds numbers",
        )
        for name in reference
        if name not in mains or not _is_categorical(frame, name, categorical)
    ]
    if violations:
        raise ViolationsError("model", violations)

    labels = {name for name in mains if _is_categorical(frame, name, categorical)}
    complete = np.ones(frame.height, dtype=np.bool_)
    numeric: dict[str, FloatArray] = {}
    for name in mains:
        if name in labels:
            complete &= labels_of(frame[name]).is_not_null().to_numpy()
        else:
            numeric[name] = numbers(frame[name], rows=rows)
            complete &= np.isfinite(numeric[name])
    coded: dict[str, _Coded] = {}
    contrasts: dict[str, _Coded] = {}
    found_levels: dict[str, tuple[str, ...]] = {}
    full_first = not intercept
    for name in mains:
        if name not in labels:
            coded[name] = contrasts[name] = (np.where(complete, numeric[name], 0.0)[:, None], [name])
            continue
        levels = levels_of(frame[name], rows & complete)
        base = reference.get(name)
        if base is not None and base not in levels:
            violations.append(unknown_name("unknown_level", f"reference of {name!r}", "a level", base, levels))
            continue
        if base is not None:
            levels = [base, *(label for label in levels if label != base)]
        if len(levels) < 2:
            violations.append(
                Violation(
                    "single_level",
                    where=f"column {name!r}",
                    expected="at least two levels on the rows used",
                    got=", ".join(levels) or "none",
                    hint="drop the term or widen the domain",
                )
            )
            continue
        found_levels[name] = tuple(levels)
        text = labels_of(frame[name])
        columns = [((text == label).fill_null(False).to_numpy() & complete).astype(np.float64) for label in levels]
        full = np.column_stack(columns), [f"{name}{label}" for label in levels]
        contrasts[name] = full[0][:, 1:], full[1][1:]
        coded[name] = full if full_first else contrasts[name]
        full_first = False
    if violations:
        raise ViolationsError("model", violations)

    blocks: list[FloatArray] = [np.ones((frame.height, 1))] if intercept else []
    names, owners = ([INTERCEPT], [INTERCEPT]) if intercept else ([], [])
    for term in [*mains, *crosses]:
        values, found = coded[term] if ":" not in term else _cross(*(contrasts[name] for name in term.split(":")))
        blocks.append(values)
        names += found
        owners += [term] * len(found)
    if not blocks:
        raise AxstatError(
            "empty_model", where="model", expected="an intercept or a term", got="neither", hint="name a term"
        )
    return ModelMatrix(
        values=np.hstack(blocks), names=tuple(names), terms=tuple(owners), levels=found_levels, complete=complete
    )


def check_columns(frame: pl.DataFrame, names: Sequence[str], *, where: str) -> None:
    """Raise a ViolationsError that lists each name the frame lacks, with the nearest it has."""
    absent = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if absent:
        known = frame.columns
        raise ViolationsError(
            where, [unknown_name("missing_column", where, "a column of the data", name, known) for name in absent]
        )


def labels_of(column: pl.Series) -> pl.Series:
    """Labels as R writes them: TRUE and FALSE, whole numbers without a fraction, NaN as missing."""
    if column.dtype.is_float():
        column = column.fill_nan(None)
    text = whole_numbers(column).cast(pl.String)
    return text.str.to_uppercase() if column.dtype == pl.Boolean else text


def levels_of(column: pl.Series, rows: BoolArray) -> list[str]:
    """Labels found on the rows, numbers in their order, text in that of its characters."""
    found = pl.DataFrame({"value": column, "text": labels_of(column)}).filter(pl.Series(rows)).drop_nulls("text")
    return cast("list[str]", found.unique("text").sort("value")["text"].to_list())


def numbers(column: pl.Series, *, rows: BoolArray) -> FloatArray:
    """The column as floats ``(n,)``, NaN where missing.

    Raises:
        ViolationsError: the column is no number or boolean, or is infinite on one of ``rows``.
    """
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise ViolationsError(
            "model",
            [
                Violation(
                    "not_numeric",
                    where=f"column {column.name!r}",
                    expected="numbers or booleans",
                    got=str(column.dtype),
                    hint="recode the column",
                )
            ],
        )
    values = cast(FloatArray, column.cast(pl.Float64).fill_null(np.nan).to_numpy())
    refuse_rows(np.isinf(values) & rows, "not_finite", f"column {column.name!r}", "finite numbers", "an infinite one")
    return values


def refuse_rows(rows: BoolArray, code: str, where: str, expected: str, got: str) -> None:
    """Raise a ViolationsError that names the rows marked, if there are any."""
    if rows.any():
        raise ViolationsError(
            "model",
            [
                Violation(
                    code,
                    where=where,
                    expected=expected,
                    got=got,
                    hint="mend these rows or leave them out of the domain",
                    rows=row_numbers(rows),
                )
            ],
        )


def columns_of(terms: Sequence[str]) -> list[str]:
    """The columns that terms name."""
    return [name for term in terms for name in term.split(":")]


def _is_categorical(frame: pl.DataFrame, name: str, categorical: Sequence[str]) -> bool:
    return name in categorical or not frame[name].dtype.is_numeric()


def _cross(first: _Coded, second: _Coded) -> _Coded:
    (a, a_names), (b, b_names) = first, second
    columns = [a[:, i] * b[:, j] for j in range(len(b_names)) for i in range(len(a_names))]
    return np.column_stack(columns), [f"{left}:{right}" for right in b_names for left in a_names]
