"""One delivered file -> the rows of `raw.<contract>`, or everything that is wrong with the file.

Belongs here: file rules (bytes, rows, columns, code lists) and the provenance of each row. Does not belong
here: rules on single rows (quality), types (SQL), storing anything (warehouse).
"""

from dataclasses import dataclass

import polars as pl

from pipelines.contracts.models import Column, TableContract
from pipelines.errors import Violation, ViolationsError
from pipelines.intake.codebook.made import codebook_of_labels
from pipelines.intake.codebook.model import Codebook, code_key
from pipelines.intake.columns import ColumnMap, map_columns, normalised
from pipelines.intake.formats.dispatch import read_table, tolerates_damage
from pipelines.intake.manifest import Manifest, ManifestFile
from pipelines.intake.sent import hash_violations, layout_violations, sent_path
from pipelines.intake.table import TextTable

# More than this share of unknown codes means another code list, not wrong answers.
_FOREIGN_LIST = 0.5
# Typed files have truth values where the contract writes Y and N; staging reads these forms (macro yes_no).
_YES_NO = frozenset({"Y", "N"})
_YES_NO_AS_TYPED = frozenset({"TRUE", "FALSE", "YES", "NO", "1", "0"})


@dataclass(frozen=True)
class RawTable:
    """The rows of one file as `raw.<contract>` holds them.

    Attributes:
        frame: columns of `raw.<contract>` in the contract's order; values as sent, blanks null.
        warnings: what a person should look at though the file is accepted.
        format: e.g. 'xlsx'; `encoding` the encoding text was read with, None for formats that have none.
        notes: titles and notes around the table, which are not among its rows.
        labels: the file's variables with the labels it has of its own.
    """

    contract: str
    frame: pl.DataFrame
    warnings: tuple[Violation, ...]
    format: str
    encoding: str | None
    notes: tuple[str, ...]
    labels: Codebook


def read_delivery_file(
    manifest: Manifest, entry: ManifestFile, contract: TableContract, *, survey: str, wave: int
) -> RawTable:
    """One file of a delivery as rows of `raw.<contract>`.

    Args:
        contract: the contract that `entry` names.
        survey, wave: what was asked for; the manifest must say the same.

    Raises:
        ViolationsError: every file rule that is broken, as far as the file can be read. A file other than
            text whose hash differs is not read at all, nor one whose layout's does.
    """
    file = manifest.where(entry)
    violations = _request_violations(manifest, survey=survey, wave=wave)
    path = sent_path(manifest, entry, violations)
    if path is None:
        raise ViolationsError(file, violations)
    damaged = hash_violations(path, entry, file=file)
    other_layout = layout_violations(manifest, entry)
    violations += [*damaged, *other_layout]
    if other_layout or (damaged and not tolerates_damage(path)):
        raise ViolationsError(file, violations)
    try:
        table = read_table(path, entry, file=file)
    except ViolationsError as error:
        raise ViolationsError(file, [*violations, *error.violations]) from error
    if table.frame.height != entry.rows:
        violations.append(
            Violation(
                code="rows_differ",
                where=file,
                expected=f"{entry.rows} data rows, as the manifest says",
                got=f"{table.frame.height} data rows",
                hint="send the complete file, or correct 'rows' (and 'header_rows') in the manifest",
            )
        )
    try:
        columns = map_columns(
            table.headers, table.labels, contract, question_version=manifest.question_version, file=file
        )
    except ViolationsError as error:
        raise ViolationsError(file, [*violations, *error.violations]) from error
    violations.extend(_code_list_violations(table, columns, contract, file=file))
    violations.extend(_other_survey_violations(table, columns, manifest, file=file))
    if violations:
        raise ViolationsError(file, violations)
    return RawTable(
        contract=contract.name,
        frame=_raw_frame(table, columns, contract, manifest, entry),
        warnings=(*_extra_warnings(columns, contract, file=file), *_note_warnings(table, entry, file=file)),
        notes=table.provenance.notes,
        format=table.provenance.format,
        encoding=table.provenance.encoding,
        labels=codebook_of_labels(table, contract, source=file),
    )


def _request_violations(manifest: Manifest, *, survey: str, wave: int) -> list[Violation]:
    pairs = (("survey", manifest.survey, survey), ("wave", manifest.wave, wave))
    return [
        Violation(
            code=f"wrong_{key}",
            where=f"delivery {manifest.delivery}",
            expected=f"{key} {asked}",
            got=f"{key} {said} in the manifest",
            hint=f"correct '{key}' in the manifest, or run the {key} it says",
        )
        for key, said, asked in pairs
        if said != asked
    ]


def _code_list_violations(
    table: TextTable, columns: ColumnMap, contract: TableContract, *, file: str
) -> list[Violation]:
    violations = []
    for column in contract.columns:
        position = columns.positions.get(column.name)
        if not column.codes or position is None:
            continue
        sent = table.frame[f"c{position}"].drop_nulls()
        if column.type.endswith("[]"):
            sent = sent.str.split(";").explode().str.strip_chars()
        known = {code_key(code.value) for code in column.codes}
        if known == _YES_NO:
            known |= _YES_NO_AS_TYPED
        counts = sent.value_counts(sort=True, name="rows").rows()
        foreign = [(value, rows) for value, rows in counts if code_key(value) not in known]
        if sum(rows for _, rows in foreign) > _FOREIGN_LIST * len(sent):
            violations.append(_foreign_list(column, foreign, len(sent), file=file))
    return violations


def _foreign_list(column: Column, foreign: list[tuple[str, int]], values: int, *, file: str) -> Violation:
    allowed = [code.value for code in column.codes]
    name = f" {column.classification}" if column.classification else ""
    return Violation(
        code="unknown_code_list",
        where=f"{file}, column {column.name}",
        expected=f"codes of the list{name}: {', '.join(allowed[:12])}{', …' if len(allowed) > 12 else ''}",
        got=f"{sum(rows for _, rows in foreign)} of {values} values are not in it, "
        f"e.g. {', '.join(repr(value) for value, _ in foreign[:5])}",
        hint="have the column sent in this code list, or check that the header is this column's",
    )


def _other_survey_violations(table: TextTable, columns: ColumnMap, manifest: Manifest, *, file: str) -> list[Violation]:
    """A file that names its own survey or wave must name the manifest's."""
    violations = []
    for position, header in columns.extra.items():
        key = normalised(header)
        if key not in ("wave", "survey"):
            continue
        said = str(manifest.wave if key == "wave" else manifest.survey)
        sent = table.frame.select(pl.col(f"c{position}").str.strip_chars().alias("value")).with_row_index("row", 1)
        other = sent.filter(pl.col("value").is_not_null() & (pl.col("value").str.to_lowercase() != said))
        if other.height:
            violations.append(
                Violation(
                    code=f"wrong_{key}",
                    where=f"{file}, column {header}",
                    expected=f"{key} {said}, as the manifest says",
                    got=", ".join(repr(value) for value in other["value"].unique().sort()[:5]),
                    hint=f"send the {key}'s own file, or correct '{key}' in the manifest",
                    rows=tuple(other["row"]),
                )
            )
    return violations


def _extra_warnings(columns: ColumnMap, contract: TableContract, *, file: str) -> tuple[Violation, ...]:
    if not columns.extra:
        return ()
    return (
        Violation(
            code="extra_columns",
            where=file,
            expected=f"the columns of {contract.name}",
            got=f"{len(columns.extra)} more: {', '.join(repr(name) for name in columns.extra.values())}",
            hint="nothing is lost (raw keeps them in extra_columns); add them to the contract if wanted",
        ),
    )


def _note_warnings(table: TextTable, entry: ManifestFile, *, file: str) -> tuple[Violation, ...]:
    """What was taken for a title or a note though nobody declared it."""
    notes = table.provenance.notes
    shown = ", ".join(repr(note) for note in notes[:5])
    if not notes or (entry.skip_rows is not None and entry.notes_below is not None):
        return ()
    return (
        Violation(
            code="notes_left_out",
            where=file,
            expected="a header and rows, or 'skip_rows' and 'notes_below' declared in the manifest",
            got=f"{len(notes)} row(s) of titles and notes around the table: {shown}",
            hint="nothing to do if these are no data; declare how many there are, and they are not looked for",
        ),
    )


def _raw_frame(
    table: TextTable, columns: ColumnMap, contract: TableContract, manifest: Manifest, entry: ManifestFile
) -> pl.DataFrame:
    sent = [
        pl.col(f"c{columns.positions[name]}").alias(name)
        if name in columns.positions
        else pl.lit(None, dtype=pl.String).alias(name)
        for name in contract.column_names
    ]
    return table.frame.select(
        pl.lit(manifest.survey).alias("survey"),
        pl.lit(manifest.wave, dtype=pl.Int32).alias("wave"),
        pl.lit(manifest.delivery).alias("delivery"),
        pl.lit(entry.file).alias("file_name"),
        pl.lit(entry.sha256).alias("file_sha256"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row_number"),
        *sent,
        _extra_json(columns).alias("extra_columns"),
    )


def _extra_json(columns: ColumnMap) -> pl.Expr:
    if not columns.extra:
        return pl.lit(None, dtype=pl.String)
    return pl.struct(pl.col(f"c{at}").alias(header) for at, header in columns.extra.items()).struct.json_encode()
