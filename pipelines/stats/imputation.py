"""Item imputation: values for questions that a responding unit left open.

Belongs here: the methods (deductive, last wave's value, hot deck within class), their order, the flag of every value,
the rates. Does not belong here: classes and donors (donors), drawing them again in replicates (reimputation), which
variables and statuses are imputed (a survey's contract), weights of units that did not respond (nonresponse).

The variables of one call are imputed together: a unit takes all that it still lacks from one donor, so that what goes
together in the donor goes together in the unit. Variables that are imputed one by one would be independent of each
other within a class, and "at least one of them" would come out too often (Haziza 2009, Handbook of Statistics 29A,
chapter 10, on relations between imputed variables).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from pipelines.errors import Violation, ViolationsError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray
from pipelines.stats.collapse import Collapse
from pipelines.stats.donors import Deck, HotDeck, build_deck, donor_rows, named

Method = Literal["deductive", "last_wave", "hot_deck"]
METHODS: Final[tuple[Method, ...]] = ("deductive", "last_wave", "hot_deck")
# Place of a method in METHODS, or that there is none
NONE: Final = -1
RATE_SCHEMA: Final = {
    "variable": pl.String,
    "method": pl.String,
    "values": pl.Int64,
    "imputed": pl.Int64,
    "rate": pl.Float64,
    "weighted_rate": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class DeductiveRule:
    """Where ``applies`` ``(n,)`` holds, the variable can only be ``value``; the caller has looked at other answers."""

    variable: str
    applies: BoolArray
    value: str | float


@dataclass(frozen=True, eq=False)
class Deductive:
    """Values that follow from other answers."""

    rules: tuple[DeductiveRule, ...]


@dataclass(frozen=True, eq=False)
class LastWave:
    """``values``: unit_id and the variables as the unit answered them in the wave before, null where it did not.

    The caller gives nothing where the question was another one then.
    """

    values: pl.DataFrame


Step = Deductive | LastWave | HotDeck


@dataclass(frozen=True, eq=False)
class Imputation:
    """What was imputed.

    ``values``: unit_id and the variables, in the order of the input. ``cells``: one row an imputed value, by variable
    and unit: variable, unit_id, value, method, donor, imputation_class (both null but for the hot deck).
    ``donor_row`` ``(n,)``: row of the unit's donor, -1 for none. ``rates``: RATE_SCHEMA, a row a variable and method
    and one a variable for all of them (method 'all'); ``values`` counts those in use, observed or imputed, and a rate
    is the imputed share of them. ``deck`` is None where no unit was left to the hot deck.
    """

    values: pl.DataFrame
    cells: pl.DataFrame
    donor_row: IntArray
    rates: pl.DataFrame
    collapse: Collapse | None
    deck: Deck | None


def impute(units: pl.DataFrame, *, variables: Sequence[str], missing: BoolArray, chain: Sequence[Step]) -> Imputation:
    """Fill in missing values by the methods of a chain, each for what those before it left open.

    Donors are the units whose variables are all observed or deduced: a value that can only be one is as good as an
    answer, and without such donors the units that it holds for would be missing from their class. A value of the last
    wave is not given on. A donor follows from permanent random numbers: rows may come in any order.

    Args:
        units: the responding units: unit_id, weight (above 0), the variables (of one type, null where there is no
            answer; Float64 or String), and the parts of the classes.
        missing: ``(n, V)`` the values to impute; others that are null stay null, and their unit gives to no other.

    Raises:
        ViolationsError: repeated units; a value to impute that is there; weights not above 0; rules that contradict
            each other; all at once.
        AxstatError: a class part is null; a class has recipients and no donor after collapsing.
    """
    names = list(variables)
    _check(units, names, missing, chain)
    table = units.select("unit_id", *names)
    method = np.full(missing.shape, NONE)
    donor_row = np.full(units.height, -1, dtype=np.int64)
    class_of = pl.Series("imputation_class", [None] * units.height, dtype=pl.String)
    collapse, deck = None, None
    for step in chain:
        open_cells = missing & (method == NONE)
        if isinstance(step, HotDeck):
            lacking = open_cells.any(axis=1)
            if not lacking.any():
                continue
            given = ~missing | (method == METHODS.index("deductive"))
            able = given.all(axis=1) & ~table.select(pl.any_horizontal(pl.col(names).is_null())).to_series().to_numpy()
            deck, collapse, class_of = build_deck(units, table, step, open_cells=open_cells, able=able)
            donor_row = donor_rows(units["unit_id"], deck, step)
            offered = table[np.maximum(donor_row, 0)]
            label: Method = "hot_deck"
        elif isinstance(step, LastWave):
            offered = units.select("unit_id").join(
                step.values.select("unit_id", *names), on="unit_id", how="left", maintain_order="left"
            )
            label = "last_wave"
        else:
            offered, label = _deduced(units, names, step), "deductive"
        for column, name in enumerate(names):
            filled = open_cells[:, column] & offered[name].is_not_null().to_numpy()
            method[filled, column] = METHODS.index(label)
            table = table.with_columns(
                pl.when(pl.Series(filled)).then(offered[name]).otherwise(pl.col(name)).alias(name)
            )
    donors = pl.Series("donor", [None if row < 0 else units["unit_id"][int(row)] for row in donor_row], dtype=pl.String)
    return Imputation(
        values=table,
        cells=_cells(table, names, method, donors, class_of),
        donor_row=donor_row,
        rates=_rates(table, names, method, units["weight"].cast(pl.Float64).to_numpy()),
        collapse=collapse,
        deck=deck,
    )


def _check(units: pl.DataFrame, names: list[str], missing: BoolArray, chain: Sequence[Step]) -> None:
    there = units.select(pl.col(names).is_not_null()).to_numpy()
    contradicted = np.zeros(units.height, dtype=np.bool_)
    for step in chain:
        if isinstance(step, Deductive):
            for name in names:
                told = [rule for rule in step.rules if rule.variable == name]
                for number, rule in enumerate(told):
                    for other in told[:number]:
                        if rule.value != other.value:
                            contradicted |= rule.applies & other.applies & missing[:, names.index(name)]
    faults = [
        Violation(code, where=f"units {named(found)}", expected=expected, got=got, hint=hint)
        for code, found, expected, got, hint in (
            (
                "unit_repeated",
                units.filter(pl.col("unit_id").is_duplicated()),
                "one row a unit",
                "several",
                "impute after duplicates are settled",
            ),
            (
                "value_is_there",
                units.filter(pl.Series((there & missing).any(axis=1))),
                "a value to impute to be null",
                "an answer",
                "mark only what was not answered: an answer is never replaced",
            ),
            (
                "weight_invalid",
                units.filter(~(pl.col("weight").cast(pl.Float64) > 0).fill_null(False)),
                "a weight above 0",
                "none, or 0 or less",
                "give each responding unit its design weight",
            ),
            (
                "deduction_contradicted",
                units.filter(pl.Series(contradicted)),
                "one value from all deductive rules that apply",
                "different ones",
                "narrow the conditions of the rules, or send the unit's answers back",
            ),
        )
        if found.height
    ]
    if faults:
        raise ViolationsError(f"imputation of {', '.join(names)}", faults)


def _deduced(units: pl.DataFrame, names: list[str], step: Deductive) -> pl.DataFrame:
    columns = []
    for name in names:
        value = pl.lit(None, dtype=units.schema[name])
        for rule in step.rules:
            if rule.variable == name:
                value = (
                    pl.when(pl.Series(rule.applies)).then(pl.lit(rule.value, dtype=units.schema[name])).otherwise(value)
                )
        columns.append(value.alias(name))
    return units.select("unit_id", *columns)


def _cells(
    table: pl.DataFrame, names: list[str], method: IntArray, donors: pl.Series, class_of: pl.Series
) -> pl.DataFrame:
    found = []
    for column, name in enumerate(names):
        rows = table.select(
            pl.lit(name).alias("variable"),
            "unit_id",
            pl.col(name).alias("value"),
            pl.Series(
                "method", [None if code == NONE else METHODS[code] for code in method[:, column]], dtype=pl.String
            ),
        ).with_columns(
            pl.when(pl.col("method") == "hot_deck").then(donors).alias("donor"),
            pl.when(pl.col("method") == "hot_deck").then(class_of).alias("imputation_class"),
        )
        found.append(rows.filter(pl.col("method").is_not_null()).sort("unit_id"))
    return pl.concat(found)


def _rates(table: pl.DataFrame, names: list[str], method: IntArray, weight: FloatArray) -> pl.DataFrame:
    rows = []
    for column, name in enumerate(names):
        there = table[name].is_not_null().to_numpy()
        total = float(weight[there].sum())
        for label in (*METHODS, "all"):
            chosen = method[:, column] != NONE if label == "all" else method[:, column] == METHODS.index(label)
            rows.append(
                (
                    name,
                    label,
                    int(there.sum()),
                    int(chosen.sum()),
                    float(chosen.sum() / there.sum()) if there.any() else None,
                    float(weight[chosen].sum() / total) if there.any() else None,
                )
            )
    return pl.DataFrame(rows, schema=RATE_SCHEMA, orient="row")
