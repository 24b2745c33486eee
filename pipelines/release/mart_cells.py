"""Cells of the marts by the address that stands on the page, and whether they may be printed.

Belongs here: looking up a row, telling what is hidden, straight from the published tables. Does not belong here: how a
number is written (page_reader), which numbers a text may hold (expected_numbers).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pipelines.reporting.addresses import Address

Row = Mapping[str, Any]

_RATE_KEY = ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")
_SUPPRESS, _FREE = "suppress", "F"
# What a suppressed row may still tell: how many answered, and what is no estimate of it
_OPEN = frozenset({"n", "n_common", "target", "value", "share_before", "share_after"})
_OPEN_OF = {"scenario": frozenset({"share"}), "small_area": frozenset({"gamma", "residual"})}


@dataclass
class MartCells:
    """The published tables, indexed as they are asked for."""

    marts: Mapping[str, pl.DataFrame]
    _indexes: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], list[int]]] = field(default_factory=dict)
    _rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    _hidden: dict[tuple[str, ...], str] | None = None

    def rows(self, mart: str, key: tuple[tuple[str, str], ...]) -> list[Row]:
        """Rows whose columns have these values, as text; one where the address is right."""
        names = tuple(name for name, _ in key)
        if (mart, names) not in self._indexes:
            self._indexes[(mart, names)] = self._index(mart, names)
        found = self._indexes[(mart, names)].get(tuple(value for _, value in key), [])
        return [self._row(mart, number) for number in found]

    def _row(self, mart: str, number: int) -> Row:
        """A row, read once: a page asks for it by each of its cells."""
        if (mart, number) not in self._rows:
            self._rows[(mart, number)] = self.marts[mart].row(number, named=True)
        return self._rows[(mart, number)]

    def _index(self, mart: str, names: tuple[str, ...]) -> dict[tuple[str, ...], list[int]]:
        """Numbers of rows by those columns, as text; none of a table or by a column that there is not."""
        index: dict[tuple[str, ...], list[int]] = {}
        if mart in self.marts and set(names) <= set(self.marts[mart].columns):
            keys = self.marts[mart].select(pl.col(name).cast(pl.String) for name in names).rows()
            for number, key in enumerate(keys):
                index.setdefault(key, []).append(number)
        return index

    def why_hidden(self, address: Address, row: Row) -> str:
        """``suppress``, ``confidential``, or "" where the cell may be printed."""
        mart, column = address.mart, address.column
        if mart in ("quality_indicator", "weight_diagnostic"):
            return ""
        secret = self._secret(row)
        if secret and column not in ("target", "value"):
            return "confidential"
        if column in _OPEN or column in _OPEN_OF.get(mart, ()):
            return ""
        if mart == "small_area":
            mark = row["direct_reliability" if column.startswith("direct") else "reliability"]
            return _SUPPRESS if mark == _SUPPRESS else ""
        if "reliability" in row:
            return _SUPPRESS if row["reliability"] == _SUPPRESS else ""
        # Progress and scenarios have no mark of their own: that of the rate they are made of, and of its baseline
        return self.why_hidden_rate(row)

    def why_hidden_rate(self, row: Row) -> str:
        """The same for the rate of a survey, wave, domain, measure and weighting, on either base."""
        return self._hidden_rates().get(tuple(str(row[name]) for name in _RATE_KEY), "")

    def _secret(self, row: Row) -> bool:
        if not set(_RATE_KEY) <= set(row):
            return False
        waves = {row["wave"], row.get("wave_before", row["wave"])}
        rates = self._hidden_rates()
        keys = (tuple(str(wave if name == "wave" else row[name]) for name in _RATE_KEY) for wave in waves)
        return any(rates.get(key) == "confidential" for key in keys)

    def _hidden_rates(self) -> dict[tuple[str, ...], str]:
        if self._hidden is None:
            rates = self.marts["adoption_rate"].select(
                *(pl.col(name).cast(pl.String) for name in _RATE_KEY),
                pl.when(pl.col("conf_status") != _FREE)
                .then(pl.lit("confidential"))
                .when(pl.col("reliability") == _SUPPRESS)
                .then(pl.lit(_SUPPRESS))
                .alias("why"),
            )
            # Where the bases differ, the weightier reason stands last
            hidden = rates.drop_nulls("why").sort("why", descending=True).rows()
            self._hidden = {tuple(key): why for *key, why in hidden}
        return self._hidden
