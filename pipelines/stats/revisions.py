"""Revisions: how a figure changed from one release to the next, and how large such changes are on average.

Belongs here: the revision triangle of figures and the average size of their revisions (ESS indicator A6). Does not
belong here: which releases there are, or why a figure changed (release).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray

# Another kind of processor gives the same numbers to 1e-9 (method.md 10): less than that is no revision.
RELATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class AverageRevision:
    """Average size of revisions over `n` figures that were printed more than once.

    Attributes:
        mean: MR = sum (X_L - X_P) / n, in the unit of the figures; shows a bias in one direction.
        mean_absolute: MAR = sum abs(X_L - X_P) / n, in the unit of the figures.
        relative_mean_absolute: RMAR = sum abs(X_L - X_P) / sum abs(X_L), a share; None where all later figures are 0.
    """

    n: int
    mean: float
    mean_absolute: float
    relative_mean_absolute: float | None


def average_revision(earlier: FloatArray, later: FloatArray) -> AverageRevision | None:
    """MR, MAR and RMAR between two releases of the same figures.

    Source: Eurostat, ESS guidelines for the implementation of the quality and performance indicators, A6 (data
    revision, average size): X_P is the figure of the earlier release of reference period t, X_L that of the later one,
    and n the number of periods.

    Args:
        earlier, later: shape (n,), one entry a reference period, in the same unit.

    Returns:
        None where n is 0.

    Raises:
        AxstatError: the arrays differ in length, or hold a value that is not finite.
    """
    if earlier.shape != later.shape or earlier.ndim != 1 or not np.isfinite([*earlier, *later]).all():
        raise AxstatError(
            "revision_pairs",
            where="average_revision",
            expected="an earlier and a later finite figure for each reference period",
            got=f"{earlier.size} earlier, {later.size} later",
            hint="leave out periods without both figures",
        )
    if not earlier.size:
        return None
    size = np.abs(later - earlier)
    level = float(np.abs(later).sum())
    return AverageRevision(
        n=earlier.size,
        mean=float((later - earlier).mean()),
        mean_absolute=float(size.mean()),
        relative_mean_absolute=float(size.sum()) / level if level > 0.0 else None,
    )


def revision_triangle(printed: pl.DataFrame, *, figure: Sequence[str]) -> pl.DataFrame:
    """Every print of a figure beside the print before it and the first one.

    Args:
        printed: one row a figure and release: the columns of `figure`, ``vintage``, ``publication_order`` (1 is the
            oldest release), ``estimate`` and ``se`` (shares; NULL where nothing could be printed).
        figure: columns that name a figure.

    Returns:
        the rows in order of figure and publication, with ``previous_vintage`` (NULL at the first print),
        ``change_pp`` and ``change_from_first_pp`` (percentage points; NULL at the first print or where one of the two
        is not printed) and ``differs``: estimate or standard error are others than in the print before, by more than
        a relative 1e-9; false at the first print.
    """
    before = {name: pl.col(name).shift(1).over(figure) for name in ("vintage", "estimate", "se")}
    first = pl.col("estimate").first().over(figure)
    is_first = before["vintage"].is_null()
    return printed.sort(*figure, "publication_order").with_columns(
        before["vintage"].alias("previous_vintage"),
        (100.0 * (pl.col("estimate") - before["estimate"])).alias("change_pp"),
        pl.when(~is_first).then(100.0 * (pl.col("estimate") - first)).alias("change_from_first_pp"),
        (~is_first & (_moved("estimate", before["estimate"]) | _moved("se", before["se"]))).alias("differs"),
    )


def _moved(name: str, before: pl.Expr) -> pl.Expr:
    now = pl.col(name)
    scale = pl.max_horizontal(now.abs(), before.abs())
    beyond = ((now - before).abs() > RELATIVE_TOLERANCE * scale).fill_null(False)
    return beyond | (now.is_null() != before.is_null())
