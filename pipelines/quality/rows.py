"""All checks of a delivery's rows together: what goes to quarantine, what is only reported, and how much.

Belongs here: `check_rows`, which the pipeline calls. Does not belong here: single checks (structure.py,
suite.py), rules on whole files (intake), storing anything (warehouse).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from pipelines.contracts.compiler import expectations
from pipelines.contracts.models import Severity, TableContract
from pipelines.errors import AxstatError, Violation
from pipelines.quality.findings import Checked, RowRule, nothing_found, together
from pipelines.quality.structure import check_structure
from pipelines.quality.suite import check_values

# Staging gives these contract columns a name of its own; the others keep theirs.
STAGING_NAMES: Mapping[str, str] = MappingProxyType(
    {"business_number": "identifier", "institution_code": "identifier", "ksic": "ksic_division"}
)
# Both keep the row out; the second refuses the file as well where too many rows break the rule.
KEEPS_OUT: Collection[Severity] = ("error", "fail_file")
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class QualityResult:
    """What was found in the rows of one file.

    Attributes:
        contract: name of the delivery contract.
        rows: rows checked.
        quarantine: one row a row kept out: row_number, unit_id, rules, reasons (both lists of text, side by
            side, in English with the value as sent).
        warnings: one row a finding that keeps no row out: row_number, unit_id, rule, reason.
        counts: one row a rule that was checked: rule, severity, column, rows, message_ko, message_en, action_ko,
            action_en.
        file_faults: rules for which the whole file must be refused; `code` is the rule's id.
    """

    contract: str
    rows: int
    quarantine: pl.DataFrame
    warnings: pl.DataFrame
    counts: pl.DataFrame
    file_faults: tuple[Violation, ...]


def check_rows(
    typed: pl.DataFrame,
    raw: pl.DataFrame,
    contract: TableContract,
    *,
    question_version: str | None = None,
    in_sql: Checked | None = None,
    file: str | None = None,
    staging_names: Mapping[str, str] = STAGING_NAMES,
) -> QualityResult:
    """Check every row of a file.

    Args:
        typed: the rows after conversion, under staging's names, with `row_number`.
        raw: the same rows as sent, with all columns of `raw.<contract>`; blanks null.
        contract: the delivery contract, codes resolved.
        question_version: rules on columns of other versions are left out; None keeps all.
        in_sql: the contract's SQL rules and what the database found for them; None: they were not run.
        file: how messages name the file; None: by its contract.
        staging_names: contract column -> name in `typed`, where they differ.

    Raises:
        AxstatError: frames that do not fit each other or the contract, or a rule that cannot be run.
    """
    raw, typed = _in_order(raw), _in_order(typed)
    _fit(typed, raw, contract, staging_names)
    values = typed.select(
        "row_number", *(pl.col(staging_names.get(name, name)).alias(name) for name in contract.column_names)
    )
    rules = expectations(contract, question_version=question_version)
    checked = together(
        [
            check_structure(values, raw, contract, question_version=question_version),
            check_values(values, rules, contract=contract.name),
            in_sql or nothing_found(),
        ]
    )
    counts = _counts(checked.findings, checked.rules)
    return QualityResult(
        contract=contract.name,
        rows=values.height,
        quarantine=_quarantine(checked.findings, checked.rules, values, raw, contract),
        warnings=_reasoned(checked.findings, checked.rules, values, raw, contract, severities=("warning",)),
        counts=counts,
        file_faults=_file_faults(checked, counts, rows=values.height, where=file or contract.name),
    )


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by their number; a large file that has them so already is not copied."""
    return rows if rows["row_number"].is_sorted() else rows.sort("row_number")


def _fit(typed: pl.DataFrame, raw: pl.DataFrame, contract: TableContract, staging_names: Mapping[str, str]) -> None:
    for what, frame, names in (
        (
            "typed rows",
            typed,
            ["row_number", *(staging_names.get(name, name) for name in contract.column_names)],
        ),
        ("raw rows", raw, ["wave", "row_number", *contract.column_names]),
    ):
        if missing := [name for name in names if name not in frame.columns]:
            raise AxstatError(
                "columns_do_not_fit",
                where=f"{what} of {contract.name}",
                expected=f"the columns {', '.join(names)}",
                got=f"none called {', '.join(missing)}",
                hint="make the frame with every column of the contract",
            )
    rows = raw["row_number"]
    if rows.n_unique() != raw.height or not rows.cast(pl.Int64).equals(typed["row_number"].cast(pl.Int64)):
        raise AxstatError(
            "rows_do_not_fit",
            where=contract.name,
            expected="the same row numbers in raw and typed rows, each once",
            got=f"{raw.height} raw and {typed.height} typed rows",
            hint="type the rows of one file at a time, all of them",
        )


def _quarantine(
    findings: pl.DataFrame,
    rules: Sequence[RowRule],
    values: pl.DataFrame,
    raw: pl.DataFrame,
    contract: TableContract,
) -> pl.DataFrame:
    return (
        _reasoned(findings, rules, values, raw, contract, severities=KEEPS_OUT)
        .group_by("row_number", "unit_id", maintain_order=True)
        .agg(pl.col("rule").alias("rules"), pl.col("reason").alias("reasons"))
        .sort("row_number")
    )


def _reasoned(
    findings: pl.DataFrame,
    rules: Sequence[RowRule],
    values: pl.DataFrame,
    raw: pl.DataFrame,
    contract: TableContract,
    *,
    severities: Collection[str],
) -> pl.DataFrame:
    """Findings of some severities with unit and reason, by row and then in the order of the rules."""
    identifier = next((column.name for column in contract.columns if column.identifier), None)
    unit = pl.lit(None, dtype=pl.String) if identifier is None else pl.col(identifier).cast(pl.String)
    concerned = findings["row_number"].unique()
    raw = raw.filter(pl.col("row_number").is_in(concerned.implode()))
    units = values.filter(pl.col("row_number").is_in(concerned.implode())).select("row_number", unit.alias("unit_id"))
    parts = [
        findings.filter(pl.col("rule") == rule.id)
        .with_columns(pl.col("row_number").cast(raw.schema["row_number"]))
        .join(raw.select("row_number", _sent(rule.column).alias("sent")), on="row_number")
        .with_columns(
            pl.col("row_number").cast(pl.Int64),
            pl.lit(place, dtype=pl.Int32).alias("place"),
            pl.concat_str(
                pl.lit(rule.message_en),
                pl.when(pl.col("sent").is_not_null()).then(pl.format(" Sent: '{}'.", "sent")),
                pl.when(pl.col("detail").is_not_null()).then(pl.format(" See {}.", "detail")),
                ignore_nulls=True,
            ).alias("reason"),
        )
        for place, rule in enumerate(rules)
        if rule.severity in severities
    ]
    if not parts:
        parts = [findings.clear().with_columns(place=pl.lit(0, dtype=pl.Int32), reason=pl.lit(""), sent=pl.lit(""))]
    return (
        pl.concat(parts)
        .join(units.with_columns(pl.col("row_number").cast(pl.Int64)), on="row_number", how="left")
        .sort("row_number", "place")
        .select("row_number", "unit_id", "rule", "reason")
    )


def _sent(column: str | None) -> pl.Expr:
    """The cell the rule is about, as sent, without breaking a line or a page."""
    if column is None:
        return pl.lit(None, dtype=pl.String)
    text = pl.col(column).str.replace_all(r"\s+", " ")
    return pl.when(text.str.len_chars() > _LONGEST_VALUE).then(text.str.head(_LONGEST_VALUE) + "…").otherwise(text)


def _file_faults(checked: Checked, counts: pl.DataFrame, *, rows: int, where: str) -> tuple[Violation, ...]:
    broken = dict(counts.select("rule", "rows").iter_rows())
    return tuple(
        Violation(
            code=rule.id,
            where=where,
            expected=f"at most {rule.max_share:.0%} of the rows: {rule.message_en}"
            if rule.max_share
            else f"no row: {rule.message_en}",
            got=f"{broken[rule.id]} of {rows} rows",
            hint=rule.action_en,
            rows=tuple(checked.findings.filter(pl.col("rule") == rule.id)["row_number"].sort()),
        )
        for rule in checked.rules
        if rule.severity == "fail_file" and broken[rule.id] > rule.max_share * rows
    )


def _counts(findings: pl.DataFrame, rules: Sequence[RowRule]) -> pl.DataFrame:
    rows = dict(findings.group_by("rule").len().rows())
    return pl.DataFrame(
        [
            {
                "rule": rule.id,
                "severity": rule.severity,
                "column": rule.column,
                "rows": rows.get(rule.id, 0),
                "message_ko": rule.message_ko,
                "message_en": rule.message_en,
                "action_ko": rule.action_ko,
                "action_en": rule.action_en,
            }
            for rule in rules
        ],
        schema={
            "rule": pl.String,
            "severity": pl.String,
            "column": pl.String,
            "rows": pl.Int64,
            "message_ko": pl.String,
            "message_en": pl.String,
            "action_ko": pl.String,
            "action_en": pl.String,
        },
    )
