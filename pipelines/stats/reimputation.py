"""Imputed values drawn anew in bootstrap replicates, so that the variance has the imputation in it.

Belongs here: what every replicate draws from the deck, what a recipient's measures are with each value it may get. Does
not belong here: the first imputation (imputation, donors), replicate weights (replicate_weighting), rates.

Shao & Sitter (1996, JASA 91, 1278-1288): a bootstrap that treats imputed values as observed misses what imputation adds
to the variance; each replicate must impute again, from the donors that it holds. Here a donor is drawn with a
probability proportional to its weight times its factor in the replicate, so one with factor 0 is never drawn. Deduced
values and those of the last wave come out the same in every replicate and stay as they are.

Two things are needed besides. First, in the generalised bootstrap deviations of the weights are divided by tau and the
variance multiplied by tau^2, which would also blow up the noise of the draw. So a replicate draws several donors, with
parts that add up to 1 and whose squares add up to 1/(tau^2 + 1 - f), f the sampled share of the recipient's stratum:
the recipient gets their mean. The noise is divided by tau as the rest is, and by the root of the mean square of the
recipient's own factor, 1 + (1 - f)/tau^2, with which it is multiplied. Deviations are taken from the estimate with all
donors of the class in place of the one that was drawn, which is what the replicates scatter about; from the published
estimate, its own noise would count a second time.

Second, Shao and Sitter's method is for small sampling fractions: in a stratum taken whole every unit stays in every
replicate, but which of them answered the item is still chance (Mashreghi, Léger & Haziza 2014, Can. J. Stat. 42,
142-167). A donor therefore has a factor more in the draws, of mean 1 and variance f k/((k - 1)(1 - p)): f the sampled
share of its stratum, p the answering share of its class, k its donors. It moves recipients alone, whose share of the
class is 1 - p, so the class mean gets (1 - p)^2 f S^2/(r (1 - p)) = f (1 - p) S^2/r, which is what is missing. Large
variances, where few values are imputed, come from a law of two points that stays above 0.

With simple random sampling, one class and m of n values imputed from r donors the expected variance of a mean is then
S^2 ((1 - f)/r + f (1 - p)/r + m/n^2) = S^2 (1/r - 1/N + m/n^2), that of Little & Rubin (2002, Statistical Analysis with
Missing Data, example 4.8), who have a factor 1 - 1/r besides in the last part. Against S^2 (1 - f)/n, where imputed
values count as observed, that is 1/p + 1 - p with small f: 1.73 times the variance with 30 % imputed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, cast

import numpy as np
import polars as pl

from pipelines.errors import AxstatError
from pipelines.stats.arrays import FloatArray, IntArray
from pipelines.stats.donors import Deck, positions
from pipelines.stats.replicate_draws import TAU, permanent_numbers

# How far a donor's factor for having answered may lie below 1
LOWEST: Final = 0.9


def draw_parts(divisor: float) -> FloatArray:
    """The fewest parts whose sum is 1 and whose sum of squares is 1/divisor, the divisor 1 or more."""
    count = ceil(divisor)
    if count == 1:
        return np.ones(1)
    apart = np.sqrt((1.0 / divisor - 1.0 / count) / (count * (count - 1)))
    return np.append(np.full(count - 1, 1.0 / count + apart), 1.0 / count - (count - 1) * apart)


@dataclass(frozen=True, eq=False)
class Redraw:
    """The draws of R replicates from a deck of J recipients and N donors; M draws a recipient.

    ``number`` ``(J, R, M)``; ``part`` ``(J, M)`` of :func:`draw_parts`; ``answering`` ``(N, R)``: the donors' factors
    for having answered the item. For the replicates of the generalised bootstrap.
    """

    deck: Deck
    number: FloatArray
    part: FloatArray
    answering: FloatArray

    @classmethod
    def build(
        cls, deck: Deck, *, recipient_sampled: FloatArray, donor_sampled: FloatArray, replicates: int
    ) -> "Redraw":
        """Draw the numbers.

        Args:
            recipient_sampled, donor_sampled: ``(J,)``, ``(N,)`` the sampled share n_h/N_h of each one's stratum.
        """
        part = np.zeros((len(deck.recipient), ceil(TAU**2 + 1.0)))
        for share in np.unique(recipient_sampled):
            parts = draw_parts(TAU**2 + 1.0 - share)
            part[recipient_sampled == share, : len(parts)] = parts
        key = (*deck.key, "replicates")
        number = permanent_numbers(deck.recipient_draw, key=key, replicates=replicates * part.shape[1])
        count = np.bincount(deck.donor_class, minlength=len(deck.classes))[deck.donor_class].astype(np.float64)
        several = np.where(count > 1, count / np.maximum(count - 1.0, 1.0), 1.0)
        silent = 1.0 - deck.answering[deck.donor_class]
        variance = np.where(silent > 0, donor_sampled * several / np.where(silent > 0, silent, 1.0), 0.0) / TAU**2
        down = np.minimum(np.sqrt(variance), LOWEST)
        up = np.where(down > 0, variance / np.where(down > 0, down, 1.0), 0.0)
        rises = np.where(down > 0, down / np.where(down > 0, up + down, 1.0), 0.0)[:, None]
        chance = permanent_numbers(deck.donor_draw, key=(*deck.key, "item"), replicates=replicates)
        return cls(
            deck=deck,
            number=number.reshape(len(deck.recipient), replicates, part.shape[1]),
            part=part,
            answering=1.0 + np.where(chance < rises, up[:, None], -down[:, None]),
        )

    def donors(self, factor: FloatArray, some: slice = slice(None)) -> IntArray:
        """Donors drawn ``(J, r, M)``.

        Args:
            factor: ``(N, r)`` replicate weight over weight of the donors.
            some: which of the R replicates these are.

        Raises:
            AxstatError: naming the classes without a donor in a replicate.
        """
        number = self.number[:, some]
        weight = self.deck.donor_weight[:, None] * factor * self.answering[:, some]
        drawn = np.empty(number.shape, dtype=np.int64)
        for recipients, donors in self.deck.members:
            cumulative = np.cumsum(weight[donors], axis=0)
            empty = int((cumulative[-1] <= 0).sum())
            if empty:
                raise AxstatError(
                    "class_without_donors",
                    where=f"imputation class {self.deck.classes[self.deck.donor_class[donors[0]]]}",
                    expected="a donor in every replicate",
                    got=f"none in {empty} replicate(s)",
                    hint="ask for more donors in a class: replicates may leave some of them out",
                )
            for replicate in range(number.shape[1]):
                drawn[recipients, replicate] = donors[
                    positions(cumulative[:, replicate], number[recipients, replicate])
                ]
        return drawn

    def means(self, value: FloatArray, factor: FloatArray, some: slice = slice(None)) -> FloatArray:
        """What each recipient gets of a numeric variable ``(J, r)``, from the donors' values ``(N,)``."""
        return cast(FloatArray, np.einsum("jrm,jm->jr", value[self.donors(factor, some)], self.part))

    def shares(self, code: IntArray, n_codes: int, factor: FloatArray, some: slice = slice(None)) -> FloatArray:
        """The part of each code among what a recipient gets ``(J, n_codes, r)``, from the donors' codes ``(N,)``."""
        drawn = code[self.donors(factor, some)]
        recipients, replicates = drawn.shape[:2]
        out = np.zeros((recipients, n_codes, replicates))
        j, r = np.meshgrid(np.arange(recipients), np.arange(replicates), indexing="ij")
        for turn in range(drawn.shape[2]):
            # Each recipient and replicate once a turn: no cell is met twice
            out[j, drawn[:, :, turn], r] += self.part[:, turn, None]
        return out


def expected_shares(deck: Deck, code: IntArray, n_codes: int) -> FloatArray:
    """The probability of each code for each recipient ``(J, n_codes)``, by the donors' weights."""
    table = np.zeros((len(deck.classes), n_codes))
    np.add.at(table, (deck.donor_class, code), deck.donor_weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((table / table.sum(axis=1, keepdims=True))[deck.recipient_class], dtype=np.float64)


def candidates(deck: Deck) -> tuple[IntArray, pl.DataFrame]:
    """Which of the different rows of values each donor has ``(N,)``, and those rows, sorted."""
    rows = deck.donor_values.unique().sort(deck.variables).with_row_index("code")
    code = deck.donor_values.join(rows, on=list(deck.variables), how="left", maintain_order="left")["code"]
    return code.to_numpy().astype(np.int64), rows.drop("code")


@dataclass(frozen=True, eq=False)
class Reimputation:
    """A wave's deck and what every value of a donor would make of a recipient.

    ``code`` ``(N,)``: the row of values of each donor, 0..V-1. ``answers``: for each of the V rows what
    core.unit_measure would hold of the recipients, had each taken from it what it lacks.
    """

    deck: Deck
    code: IntArray
    answers: Sequence[pl.DataFrame]
