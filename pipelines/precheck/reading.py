"""Any file read into a typed table by a contract written for it, with everything that is wrong in it.

Belongs here: the order of reading, typing and checking; the balance of rows. Does not belong here: contracts
(file_contract), single cells (intake.typed), rules (quality), how findings are told (reading_told).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipelines.contracts.file_faults import FileFault
from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError, Violation, ViolationsError
from pipelines.intake.formats.dispatch import CONTENTS, read_table
from pipelines.intake.records import RECORD, ROW, TypedRecords, typed_records
from pipelines.precheck.fault_texts import EXAMPLES, Verdict, fault_texts, rule_texts
from pipelines.precheck.file_contract import FileContract, load_file_contract
from pipelines.quality.rows import KEEPS_OUT, QualityResult, check_rows

_SEE_ROWS = re.compile(r"(?<= See rows )[0-9, ]*[0-9]")


@dataclass(frozen=True)
class FileReading:
    """What was read from a file.

    Attributes:
        rows: data rows of the file; None where it could not be read. records: rows or, unpivoted, cells; they are
            dropped (left out as blank, as the contract asks), typed or quarantined.
        typed: the contract's columns, each followed by its flag column where it has one; quarantined records are not
            in it.
        quarantine: `row` (data row of the file, from 1), the contract's columns as sent, `rules` and `reasons`.
        violations: why the file could not be read, or rules that more of its records break than a file may.
        warnings: what a person should look at.
        texts: what the codes of both mean, by code.
        rules: one row a broken rule: rule, severity ('error', 'fail_file': quarantined), column, records, message_ko,
            message_en, action_ko, action_en, examples (the first data rows).
    """

    file: str
    contract: str
    rows: int | None
    records: int
    dropped: int
    dropped_rows: tuple[int, ...]
    typed: pl.DataFrame
    quarantine: pl.DataFrame
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    texts: Mapping[str, FileFault]
    rules: pl.DataFrame

    @property
    def verdict(self) -> Verdict:
        """'reject' where there are violations, 'remarks' where there is something to look at."""
        if self.violations:
            return "reject"
        return "remarks" if self.warnings or self.rules.height else "accept"


def read_file(path: Path, contract_path: Path, library: ContractLibrary, *, table: str | None = None) -> FileReading:
    """Read a file by a contract.

    Args:
        contract_path: the ODCS file.
        library: code lists that the contract may name.
        table: which of the contract's schema objects; None: the only one.

    Raises:
        ViolationsError: what is wrong with the contract.
        AxstatError: no such file, a contract that is not YAML or does not fit itself, a rule that cannot be run.
    """
    contract = load_file_contract(contract_path, library, contents=tuple(CONTENTS), table=table)
    if not path.is_file():
        raise AxstatError(
            "no_such_file", where=str(path), expected="a file", got="none", hint="check the path that is asked for"
        )
    try:
        records = _records(path, contract)
    except ViolationsError as error:
        return _unread(path, contract, error, library)
    result = _checked(records, contract, file=path.name)
    kept_out = result.quarantine["row_number"]
    rejecting = _of_file_rows(result.file_faults, records)
    return FileReading(
        file=path.name,
        contract=contract.table.name,
        rows=records.rows,
        records=records.typed.height + records.dropped,
        dropped=records.dropped,
        dropped_rows=records.dropped_rows,
        typed=records.typed.filter(~pl.col(RECORD).is_in(kept_out.implode())).drop(RECORD, ROW),
        quarantine=_quarantine(records, result, unpivoted=contract.unpivot is not None),
        violations=rejecting,
        warnings=records.warnings,
        texts=fault_texts((*rejecting, *records.warnings), {**library.file_faults, **rule_texts(contract.table)}),
        rules=_rules(result, records.typed.select(pl.col(RECORD).alias("row_number"), pl.col(ROW).alias("row"))),
    )


def _records(path: Path, contract: FileContract) -> TypedRecords:
    table = read_table(path, contract.form, file=path.name, content=contract.content)
    return typed_records(
        table, contract.table, contract.cells, unpivot=contract.unpivot, drop_blank_in=contract.drop_blank_in
    )


def _checked(records: TypedRecords, contract: FileContract, *, file: str) -> QualityResult:
    return check_rows(
        records.typed.rename({RECORD: "row_number"}),
        # No wave: nothing in such a file can lie after it
        records.sent.rename({RECORD: "row_number"}).with_columns(pl.lit(None, dtype=pl.Int32).alias("wave")),
        contract.table,
        file=file,
        staging_names={},
    )


def _of_file_rows(faults: tuple[Violation, ...], records: TypedRecords) -> tuple[Violation, ...]:
    """Faults that name the rows of the file: checks count records, which of an unpivoted file are its cells."""
    row_of = dict(records.typed.select(RECORD, ROW).iter_rows()) if faults else {}
    return tuple(replace(fault, rows=tuple(sorted({row_of[number] for number in fault.rows}))) for fault in faults)


def _unread(path: Path, contract: FileContract, error: ViolationsError, library: ContractLibrary) -> FileReading:
    return FileReading(
        file=path.name,
        contract=contract.table.name,
        rows=None,
        records=0,
        dropped=0,
        dropped_rows=(),
        typed=pl.DataFrame(),
        quarantine=pl.DataFrame(),
        violations=error.violations,
        warnings=(),
        texts=fault_texts(error.violations, library.file_faults),
        rules=pl.DataFrame(schema=_RULES),
    )


_RULES = {
    "rule": pl.String(),
    "severity": pl.String(),
    "column": pl.String(),
    "records": pl.Int64(),
    "message_ko": pl.String(),
    "message_en": pl.String(),
    "action_ko": pl.String(),
    "action_en": pl.String(),
    "examples": pl.List(pl.Int64()),
}


def _quarantine(records: TypedRecords, result: QualityResult, *, unpivoted: bool) -> pl.DataFrame:
    reasons = result.quarantine.select(pl.col("row_number").alias(RECORD), "rules", "reasons")
    if unpivoted:
        # Checks count records; a person counts the rows of the file
        rows_of = dict(records.typed.select(RECORD, ROW).iter_rows())
        said = [[_as_rows(text, rows_of) for text in each] for each in reasons["reasons"].to_list()]
        reasons = reasons.with_columns(pl.Series("reasons", said, dtype=pl.List(pl.String)))
    return records.sent.join(reasons, on=RECORD, how="inner").sort(RECORD).rename({ROW: "row"}).drop(RECORD)


def _as_rows(reason: str, rows_of: Mapping[int, int]) -> str:
    return _SEE_ROWS.sub(lambda found: ", ".join(str(rows_of[int(one)]) for one in found[0].split(", ")), reason)


def _rules(result: QualityResult, rows_of: pl.DataFrame) -> pl.DataFrame:
    """The broken rules, errors first, most records first; ``rows_of``: row_number of a record, row of the file."""
    kept_out = result.quarantine.select("row_number", pl.col("rules").alias("rule")).explode("rule")
    where = (
        pl.concat([kept_out, result.warnings.select("row_number", "rule")])
        .join(rows_of, on="row_number", how="left")
        .sort("row_number")
        .group_by("rule")
        .agg(pl.col("row").unique(maintain_order=True).head(EXAMPLES).alias("examples"))
    )
    return (
        result.counts.filter(pl.col("rows") > 0)
        .join(where, on="rule", how="left")
        .sort(pl.col("severity").is_in(list(KEEPS_OUT)), "rows", descending=True, maintain_order=True)
        .rename({"rows": "records"})
        .select(*_RULES)
    )
