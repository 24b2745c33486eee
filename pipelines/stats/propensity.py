"""Response propensities: how likely a selected unit was to respond, given what the frame knows of it.

Belongs here: the model of response, classes of its propensities. Does not belong here: what becomes of a weight
(nonresponse), models of answers (models).

The model is logistic, of the eligible units whose response is known, weighted by their base weights (Little 1986;
Valliant, Dever and Kreuter 2018, chapter 13). A unit of unknown eligibility is given a propensity and does not enter
the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import special

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray
from pipelines.stats.model_matrix import check_columns, columns_of, labels_of, model_matrix
from pipelines.stats.scoring import FAMILIES, TO_THE_END, estimable_columns, fit_by_scoring, infinite_coefficients


@dataclass(frozen=True, eq=False)
class Propensities:
    """``value`` ``(n,)``, above 0 and below 1; ``coefficients``: term, coefficient."""

    value: FloatArray
    coefficients: pl.DataFrame


def response_propensities(units: pl.DataFrame, terms: Sequence[str]) -> Propensities:
    """The fitted propensity of every unit.

    Args:
        units: selected units: unit_id, status, base_weight and the columns of the terms.
        terms: as in :func:`pipelines.stats.model_matrix.model_matrix`: columns, and interactions ``a:b``.

    Raises:
        ViolationsError: terms that are no columns.
        AxstatError: nobody, or everybody, responded; a unit lacks a column, or has a level that no unit of known
            response has; a term by which response is certain or impossible.
    """
    check_columns(units, columns_of(terms), where="response model")
    known = units["status"].is_in(["respondent", "eligible_nonrespondent"]).to_numpy()
    responded = (units["status"] == "respondent").to_numpy()
    if not 0 < responded.sum() < known.sum():
        raise AxstatError(
            "response_does_not_vary",
            where="response model",
            expected="eligible units that responded and others that did not",
            got=f"{responded.sum()} of {known.sum()} responded",
            hint="leave the response model out",
        )
    matrix = model_matrix(units, terms, rows=known)
    foreign = ~matrix.complete
    for column, levels in matrix.levels.items():
        foreign |= ~labels_of(units[column]).is_in(list(levels)).fill_null(False).to_numpy()
    if foreign.any():
        named = units.filter(pl.Series(foreign))["unit_id"].sort().head(10).to_list()
        raise AxstatError(
            "response_model_has_no_value",
            where=f"units {', '.join(named)}",
            expected=f"{', '.join(columns_of(terms))} known, with levels that eligible units have",
            got=f"{foreign.sum()} unit(s) without",
            hint="complete the frame, or make the levels coarser",
        )
    x = matrix.values[:, estimable_columns(matrix.values[known])]
    names = [matrix.names[position] for position in estimable_columns(matrix.values[known])]
    y = responded[known].astype(np.float64)
    certain = infinite_coefficients(x[known], y, family="binomial")
    if certain:
        raise AxstatError(
            "response_is_certain",
            where=f"response model, {', '.join(names[position] for position in certain)}",
            expected="units that responded and others that did not, whatever the terms say",
            got="a term by which response is certain or impossible",
            hint="make its levels coarser, or leave it out",
        )
    weight = units["base_weight"].cast(pl.Float64).to_numpy()[known]
    fit = fit_by_scoring(x[known], y, weight / weight.mean(), np.zeros(len(y)), FAMILIES["binomial"], rule=TO_THE_END)
    return Propensities(
        value=special.expit(x @ fit.beta), coefficients=pl.DataFrame({"term": names, "coefficient": fit.beta})
    )


def propensity_classes(propensity: FloatArray, weight: FloatArray, *, classes: int) -> pl.Series:
    """The class ``(n,)`` of each unit, '1' the least likely: quantiles of the propensity, by weight.

    Ties stand in one class, so that there may be fewer. Five remove most of the bias that the model explains
    (Cochran 1968).
    """
    order = np.argsort(propensity, kind="stable")
    distinct, first = np.unique(propensity[order], return_index=True)
    reached = np.add.reduceat(weight[order], first)
    # A propensity's class is that of the middle of its units.
    middle = (np.cumsum(reached) - reached / 2.0) / reached.sum()
    number = np.minimum((middle * classes).astype(np.int64), classes - 1) + 1
    return pl.Series("propensity_class", number[np.searchsorted(distinct, propensity)]).cast(pl.String)
