"""What every check of rows gives back: rules, and the rows that break them.

Belongs here: the shape of rules and findings. Does not belong here: any check.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from pipelines.contracts.models import QualityRule, Severity, SqlRule

# One row a broken rule and row; `detail` is what the message cannot say for all rows alike, or null.
FINDING_SCHEMA = pl.Schema({"row_number": pl.Int64(), "rule": pl.String(), "detail": pl.String()})


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A rule on rows, whoever checks it. `column` is the contract's column it is about, None for the whole
    row; with severity ``fail_file`` the file is refused where more than `max_share` of its rows break it."""

    id: str
    severity: Severity
    column: str | None
    message_ko: str
    message_en: str
    action_ko: str
    action_en: str
    max_share: float = 0.0

    @classmethod
    def from_contract(cls, rule: QualityRule | SqlRule) -> "RowRule":
        """The rule of a contract, without what only the engine needs."""
        return cls(
            id=rule.id,
            severity=rule.severity,
            column=rule.column,
            message_ko=rule.message_ko,
            message_en=rule.message_en,
            action_ko=rule.action_ko,
            action_en=rule.action_en,
            max_share=rule.max_share,
        )


@dataclass(frozen=True)
class Checked:
    """Rules that were checked and what they found (`FINDING_SCHEMA`)."""

    rules: tuple[RowRule, ...]
    findings: pl.DataFrame

    @classmethod
    def of_contract(cls, rules: Iterable[QualityRule | SqlRule], findings: pl.DataFrame) -> "Checked":
        """Rules of a contract and what an engine found for them."""
        return cls(tuple(RowRule.from_contract(rule) for rule in rules), findings)


def found(rows: pl.DataFrame, rule: str, *, detail: pl.Expr | None = None) -> pl.DataFrame:
    """The rows of a frame with `row_number` as findings of one rule."""
    return rows.select(
        pl.col("row_number").cast(pl.Int64),
        pl.lit(rule).alias("rule"),
        (pl.lit(None, dtype=pl.String) if detail is None else detail.cast(pl.String)).alias("detail"),
    )


def nothing_found() -> Checked:
    """No rule, no finding."""
    return Checked((), FINDING_SCHEMA.to_frame())


def together(parts: Iterable[Checked]) -> Checked:
    """Several checks as one."""
    parts = list(parts)
    return Checked(
        rules=tuple(rule for part in parts for rule in part.rules),
        findings=pl.concat([FINDING_SCHEMA.to_frame(), *(part.findings for part in parts)]),
    )
