"""The hot deck: classes, who may give to whom, and the draw of a donor.

Belongs here: imputation classes with their collapse, the deck, a donor for every recipient. Does not belong here: the
other methods and their order (imputation), what is drawn in replicates (reimputation).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import BoolArray, FloatArray, IntArray, dense_codes
from pipelines.stats.collapse import Collapse, collapse_cells
from pipelines.stats.draw_id import DRAW_ID, with_draw_id
from pipelines.stats.nonresponse import CollapseRule
from pipelines.stats.replicate_draws import permanent_numbers


@dataclass(frozen=True, eq=False)
class HotDeck:
    """A random donor of the unit's class.

    ``classes``: parts, order of collapsing and fewest donors (``min_respondents``); ``max_factor`` plays no part.
    ``key``: of the permanent numbers, e.g. survey and wave. ``by_weight``: a donor is drawn with a probability
    proportional to its weight, else all of a class alike. ``max_uses``: how often a donor gives before every donor of
    its class has given as often; None: no limit.
    """

    classes: CollapseRule
    key: tuple[str, ...]
    by_weight: bool = True
    max_uses: int | None = None


@dataclass(frozen=True, eq=False)
class Deck:
    """Who may give to whom. Shapes: J recipients, N donors, C classes; each sorted by draw_id.

    ``recipient_draw``, ``donor_draw``: their ``draw_id``, which their permanent numbers come from.
    ``missing`` ``(J, V)``: what a recipient takes of the V variables. ``answering`` ``(C,)``: the donors' share of the
    weight of a class. ``key`` is that of the permanent numbers.
    """

    variables: tuple[str, ...]
    recipient: pl.Series
    recipient_draw: pl.Series
    missing: BoolArray
    recipient_class: IntArray
    donor: pl.Series
    donor_draw: pl.Series
    donor_values: pl.DataFrame
    donor_weight: FloatArray
    donor_class: IntArray
    answering: FloatArray
    classes: list[str]
    key: tuple[str, ...]

    @cached_property
    def members(self) -> list[tuple[IntArray, IntArray]]:
        """Positions of the recipients and of the donors of each class that has recipients."""
        return [
            (np.flatnonzero(self.recipient_class == code), np.flatnonzero(self.donor_class == code))
            for code in np.unique(self.recipient_class)
        ]


def build_deck(
    units: pl.DataFrame,
    values: pl.DataFrame,
    step: HotDeck,
    *,
    open_cells: BoolArray,
    able: BoolArray,
) -> tuple[Deck, Collapse, pl.Series]:
    """The deck, how its classes were collapsed, and the class of every row of the units.

    Args:
        units: unit_id, weight and the parts of the classes, and draw_id (:mod:`pipelines.stats.draw_id`).
        values: unit_id and the variables of the same rows.
        open_cells: ``(n, V)`` what is to be given.
        able: ``(n,)`` units that may give.

    Raises:
        AxstatError: a class part is null; a class has recipients and no donor after collapsing.
    """
    names = [name for name in values.columns if name != "unit_id"]
    rule = step.classes
    lacking = cast(BoolArray, open_cells.any(axis=1))
    for part in rule.parts:
        absent = units.filter(pl.Series(able | lacking) & pl.col(part).is_null())
        if absent.height:
            raise AxstatError(
                "class_part_missing",
                where=f"units {named(absent)}",
                expected=f"{part} known for every unit that gives or takes a value",
                got=f"{absent.height} unit(s) without",
                hint="complete the classification on the frame",
            )
    label = pl.concat_str([pl.col(part).cast(pl.String) for part in rule.parts] or [pl.lit("all")], separator="/")
    marked = units.select(
        "unit_id",
        pl.col("weight").cast(pl.Float64),
        *[pl.col(part).cast(pl.String) for part in rule.parts],
        label.alias("cell"),
        pl.Series("donor", able),
        pl.Series("lacking", lacking),
    )
    cells = (
        marked.filter(pl.col("donor") | pl.col("lacking"))
        .group_by("cell", *rule.parts)
        .agg(pl.col("donor").sum().alias("donors"), pl.col("lacking").sum().alias("recipients"))
        .sort("cell")
    )

    def sufficient(counts: Mapping[str, float]) -> str | None:
        if counts["recipients"] == 0 or counts["donors"] >= rule.min_respondents:
            return None
        return f"{counts['donors']:.0f} donor(s), at least {rule.min_respondents} needed"

    collapse = collapse_cells(
        cells,
        parts=rule.parts,
        order=rule.order,
        counts=["donors", "recipients"],
        size="donors",
        sufficient=sufficient,
    )
    marked = marked.join(collapse.cells.select("cell", "merged_cell"), on="cell", how="left", maintain_order="left")
    merged = marked.filter("lacking").join(marked.filter("donor"), on="merged_cell", how="anti")
    if merged.height:
        raise AxstatError(
            "class_without_donors",
            where=f"imputation of {', '.join(names)}, classes {', '.join(merged['merged_cell'].unique().sort())}",
            expected="a unit that answered in every class with values to impute, after collapsing",
            got=f"none for {merged.height} unit(s)",
            hint="add a coarser level to the collapse order of the imputation classes",
        )
    draw = with_draw_id(units)[DRAW_ID]
    row = np.argsort(draw.to_numpy(), kind="stable")
    recipients, donors = row[lacking[row]], row[able[row]]
    codes, classes = dense_codes(marked["merged_cell"].fill_null(""))
    weight = marked["weight"].to_numpy()
    by_class = [np.bincount(codes[rows], weights=weight[rows], minlength=len(classes)) for rows in (donors, recipients)]
    with np.errstate(invalid="ignore"):
        answering = np.nan_to_num(by_class[0] / (by_class[0] + by_class[1]), nan=1.0)
    deck = Deck(
        variables=tuple(names),
        recipient=units["unit_id"][recipients],
        recipient_draw=draw[recipients],
        missing=open_cells[recipients],
        recipient_class=codes[recipients],
        donor=units["unit_id"][donors],
        donor_draw=draw[donors],
        donor_values=values[donors].select(names),
        donor_weight=weight[donors] if step.by_weight else np.ones(len(donors)),
        donor_class=codes[donors],
        answering=answering,
        classes=classes,
        key=(*step.key, "imputation"),
    )
    return deck, collapse, marked["merged_cell"].alias("imputation_class")


def donor_rows(unit_id: pl.Series, deck: Deck, step: HotDeck) -> IntArray:
    """Row ``(n,)`` of the donor of each unit, -1 for units that take nothing."""
    number = permanent_numbers(deck.recipient_draw, key=deck.key, replicates=2)
    row_of = {label: row for row, label in enumerate(unit_id.to_list())}
    chosen = np.full(len(unit_id), -1, dtype=np.int64)
    for recipients, donors in deck.members:
        drawn = _draw(number[recipients], deck.donor_weight[donors], step.max_uses)
        for recipient, donor in zip(recipients, donors[drawn], strict=True):
            chosen[row_of[deck.recipient[int(recipient)]]] = row_of[deck.donor[int(donor)]]
    return chosen


def _draw(number: FloatArray, weight: FloatArray, max_uses: int | None) -> IntArray:
    """Position of a donor for each recipient, with probability proportional to weight.

    Args:
        number: ``(J, 2)`` the number that chooses, and the number by which recipients take turns.
    """
    if max_uses is None:
        return positions(np.cumsum(weight), number[:, 0])
    drawn = np.empty(len(number), dtype=np.int64)
    left = np.full(len(weight), max_uses)
    for turn in np.argsort(number[:, 1], kind="stable"):
        if not left.any():
            left += max_uses
        ready = np.flatnonzero(left)
        drawn[turn] = ready[positions(np.cumsum(weight[ready]), number[turn, :1])[0]]
        left[drawn[turn]] -= 1
    return drawn


def positions(cumulative: FloatArray, number: FloatArray) -> IntArray:
    """Position in cumulative weights ``(N,)`` of numbers from 0 to 1; a weight of 0 is never met."""
    found = np.searchsorted(cumulative, number * cumulative[-1], side="right")
    return cast(IntArray, np.minimum(found, int(np.searchsorted(cumulative, cumulative[-1]))))


def named(found: pl.DataFrame) -> str:
    """The first of the units, for a message."""
    ids = found["unit_id"].unique().sort().to_list()
    return ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
