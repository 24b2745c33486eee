"""Array types of the statistics package, and the one way in which labels become codes.

Belongs here: numpy type aliases, dense coding of a label column. Does not belong here: any statistic.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def dense_codes(labels: pl.Series) -> tuple[IntArray, list[str]]:
    """Code a column of labels without nulls as 0..L-1, in the sorted order of the labels as text.

    Returns:
        codes ``(n,)`` and the ``L`` labels, so that ``labels[codes[i]]`` is the label of row i.
    """
    text = labels.cast(pl.String).rename("label")
    known = text.unique().sort()
    lookup = pl.DataFrame({"label": known, "code": np.arange(len(known), dtype=np.int64)})
    coded = pl.DataFrame({"label": text}).join(lookup, on="label", how="left", maintain_order="left")
    return coded["code"].to_numpy().astype(np.int64), known.to_list()


def codes_in(labels: pl.Series, known: pl.Series) -> IntArray:
    """Position of each label in ``known`` (distinct labels); -1 where it is not there or null."""
    lookup = pl.DataFrame({"label": known.cast(pl.String), "code": np.arange(len(known), dtype=np.int64)})
    coded = pl.DataFrame({"label": labels.cast(pl.String)}).join(lookup, on="label", how="left", maintain_order="left")
    return coded["code"].fill_null(-1).to_numpy().astype(np.int64)
