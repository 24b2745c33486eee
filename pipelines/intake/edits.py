"""Edit files: corrections of single cells of a delivered file, and what becomes of each.

Belongs here: reading edit files, which edit is applied, the rows as corrected. Does not belong here: storing anything
(warehouse), checks of the corrected rows (quality).

An edit file stands in the data home under `edits/<survey>-<wave>/`. It is never changed: what was read once is known by
its hash, and what comes later goes into another file. Only its owner may read it, for it holds microdata.
"""

import hashlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.contracts.models import TableContract
from pipelines.errors import Violation, ViolationsError

REQUIRED = ("contract", "file_sha256", "row", "column", "old", "new", "who", "why")
OPTIONAL = ("when", "note")
# Columns of `raw.edit` without survey, wave, status and reason
EDIT_SCHEMA = pl.Schema(
    {
        "edit_file": pl.String(),
        "edit_sha256": pl.String(),
        "line": pl.Int64(),
        "contract": pl.String(),
        "file_sha256": pl.String(),
        "row_number": pl.Int64(),
        "column_name": pl.String(),
        "old_value": pl.String(),
        "new_value": pl.String(),
        "who": pl.String(),
        "why": pl.String(),
        "edited_on": pl.Date(),
        "note": pl.String(),
    }
)
_MAY_BE_BLANK = ("old", "new", *OPTIONAL)
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_KEY = ("contract", "file_sha256", "row_number", "column_name")


@dataclass(frozen=True)
class Edited:
    """Rows of a file with their edits.

    Attributes:
        rows: all rows, columns as given. changed: those of them with an edit that was applied.
        log: the edits of the contract, columns `EDIT_SCHEMA` and status ('applied', 'rejected', 'stale') and reason.
    """

    rows: pl.DataFrame
    changed: pl.DataFrame
    log: pl.DataFrame


def read_edits(
    folder: Path,
    *,
    contracts: Collection[str],
    reasons: Collection[str],
    known: Mapping[str, str],
) -> pl.DataFrame:
    """Every edit of the .csv files in `folder`, by name of the file and line; columns `EDIT_SCHEMA`.

    The folder and its files are made readable by their owner only. A folder that does not exist holds no edits.

    Args:
        contracts: the contracts whose files may be edited.
        reasons: codes that `why` may have.
        known: edit files that were read before, name -> SHA-256.

    Raises:
        ViolationsError: everything that is wrong with the files, at once: one that was changed or taken away since it
            was read, one that others may read and that is somebody else's, one that is no such table, a line without
            its row, who or why.
    """
    paths = sorted(folder.glob("*.csv"))
    violations = [
        _violation(
            f"{folder.name}/{name}",
            "edit_file_missing",
            expected="the edit file that was read before",
            got="no such file",
            hint="put it back: what was edited must stay on record",
        )
        for name in sorted({*known} - {path.name for path in paths})
    ]
    if folder.is_dir():
        violations.extend(_made_private(folder, _FOLDER_MODE, folder.name))
    frames = [EDIT_SCHEMA.to_frame()]
    for path in paths:
        where = f"{folder.name}/{path.name}"
        violations.extend(_made_private(path, _FILE_MODE, where))
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if known.get(path.name, sha256) != sha256:
            violations.append(
                _violation(
                    where,
                    "edit_file_changed",
                    expected=f"sha256 {known[path.name]}, as it was read before",
                    got=f"sha256 {sha256}",
                    hint="put the file back as it was, and write further edits into a file of their own",
                )
            )
            continue
        try:
            sent = _read(content, where)
        except ViolationsError as error:
            violations.extend(error.violations)
            continue
        found = _line_violations(sent, where, contracts=contracts, reasons=reasons)
        violations.extend(found)
        if not found:
            frames.append(_as_edits(sent, path.name, sha256))
    if violations:
        raise ViolationsError(str(folder.name), violations)
    return pl.concat(frames)


def _made_private(path: Path, mode: int, where: str) -> list[Violation]:
    """Take from all but the owner the right to read; nothing is done where nobody else has it."""
    if not path.stat().st_mode & 0o077:
        return []
    try:
        path.chmod(mode)
    except PermissionError:
        return [
            _violation(
                where,
                "edits_not_private",
                expected="readable by its owner only: it holds microdata",
                got="others may read it, and it belongs to another user",
                hint=f"have the owner run `chmod {mode:o}` on it",
            )
        ]
    return []


def _read(content: bytes, where: str) -> pl.DataFrame:
    try:
        text = content.decode("utf-8-sig")
        sent = pl.read_csv(io.StringIO(text), infer_schema=False, truncate_ragged_lines=False)
    except (UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        expected = "a CSV table in UTF-8, its columns separated by commas"
        got = str(error).splitlines()[0]
        raise ViolationsError(
            where, [_violation(where, "edit_file_unreadable", expected=expected, got=got, hint="save it as such")]
        ) from error
    missing = [name for name in REQUIRED if name not in sent.columns]
    unknown = [name for name in sent.columns if name not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        raise ViolationsError(
            where,
            [
                _violation(
                    f"{where}, header",
                    "edit_file_columns",
                    expected=f"the columns {', '.join(REQUIRED)}, and if wanted {', '.join(OPTIONAL)}",
                    got=f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(map(repr, unknown)) or 'none'}",
                    hint="correct the header",
                )
            ],
        )
    stripped = pl.all().str.strip_chars()
    return sent.select(pl.when(stripped != "").then(stripped).name.keep()).with_row_index("line", 1)


def _line_violations(
    sent: pl.DataFrame, where: str, *, contracts: Collection[str], reasons: Collection[str]
) -> list[Violation]:
    rules: list[tuple[str, pl.Expr, str]] = [
        (name, pl.col(name).is_null(), "a value") for name in REQUIRED if name not in _MAY_BE_BLANK
    ]
    rules += [
        ("contract", ~pl.col("contract").is_in(list(contracts)), f"one of {', '.join(contracts)}"),
        ("file_sha256", ~pl.col("file_sha256").str.contains("^[0-9a-fA-F]{64}$"), "64 hexadecimal digits"),
        ("row", ~pl.col("row").str.contains("^[1-9][0-9]{0,17}$"), "a row number, 1 for the first data row"),
        ("why", ~pl.col("why").is_in(list(reasons)), f"one of {', '.join(reasons)}"),
    ]
    if "when" in sent.columns:
        dated = pl.col("when").str.to_date("%Y-%m-%d", strict=False)
        rules.append(("when", dated.is_null() & pl.col("when").is_not_null(), "a day such as 2026-03-31"))
    violations = []
    for column, broken, expected in rules:
        lines = sent.filter(broken)
        if lines.height:
            got = ", ".join(repr(value) for value in lines[column].unique(maintain_order=True)[:3].to_list())
            violations.append(
                _violation(
                    f"{where}, column {column}",
                    "edit_line_invalid",
                    expected=expected,
                    got="nothing" if lines[column].null_count() == lines.height else got,
                    hint="correct the lines; a file that was not read yet may be changed",
                    rows=tuple(lines["line"]),
                )
            )
    return violations


def _as_edits(sent: pl.DataFrame, name: str, sha256: str) -> pl.DataFrame:
    def given(column: str) -> pl.Expr:
        return pl.col(column) if column in sent.columns else pl.lit(None, dtype=pl.String)

    return sent.select(
        pl.lit(name).alias("edit_file"),
        pl.lit(sha256).alias("edit_sha256"),
        pl.col("line").cast(pl.Int64),
        pl.col("contract"),
        pl.col("file_sha256").str.to_lowercase(),
        pl.col("row").cast(pl.Int64).alias("row_number"),
        pl.col("column").alias("column_name"),
        pl.col("old").alias("old_value"),
        pl.col("new").alias("new_value"),
        pl.col("who"),
        pl.col("why"),
        given("when").str.to_date("%Y-%m-%d").alias("edited_on"),
        given("note").alias("note"),
    )


def apply_edits(
    rows: pl.DataFrame,
    edits: pl.DataFrame,
    contract: TableContract,
    *,
    current: str,
    delivered: Collection[str],
) -> Edited:
    """Correct the cells of a file as its edits say, as far as they hold.

    Args:
        rows: the file's rows as `raw.<contract>` has them.
        edits: as `read_edits` gives them; those of other contracts are left alone.
        current: SHA-256 of the file. delivered: of all files of the contract and wave.
    """
    of_contract = edits.filter(pl.col("contract") == contract.name)
    names = [name for name in contract.column_names if name in rows.columns]
    cells = (
        rows.filter(pl.col("row_number").is_in(of_contract["row_number"].unique().implode()))
        .select(pl.col("row_number").cast(pl.Int64), *names)
        .unpivot(index="row_number", variable_name="column_name", value_name="sent")
        .with_columns(pl.col("sent").str.strip_chars())
    )
    known_row = pl.col("row_number").is_in(rows["row_number"].cast(pl.Int64).implode())
    judged = of_contract.join(cells, on=["row_number", "column_name"], how="left", maintain_order="left")
    reason = (
        pl.when(~pl.col("file_sha256").is_in(list(delivered)))
        .then(pl.lit("no file with this file_sha256 was delivered for the wave"))
        .when(pl.col("file_sha256") != current)
        .then(pl.lit("made for a file that a later delivery has replaced"))
        .when(pl.struct(_KEY).is_duplicated())
        .then(pl.lit("the cell is edited more than once: none of the edits is applied"))
        .when(~pl.col("column_name").is_in(names))
        .then(pl.lit("the contract has no such column"))
        .when(~known_row)
        .then(pl.lit("the file has no such row"))
        .when(pl.col("old_value").ne_missing(pl.col("sent")))
        .then(pl.lit("old is not what was sent"))
        .when(pl.col("old_value").eq_missing(pl.col("new_value")))
        .then(pl.lit("old and new are the same"))
    )
    stale = pl.col("file_sha256").is_in(list(delivered)) & (pl.col("file_sha256") != current)
    log = judged.with_columns(reason=reason).with_columns(
        status=pl.when(stale)
        .then(pl.lit("stale"))
        .when(pl.col("reason").is_null())
        .then(pl.lit("applied"))
        .otherwise(pl.lit("rejected"))
    )
    log = log.drop("sent")
    edited = _with_new_values(rows, log.filter(pl.col("status") == "applied"))
    touched = log.filter(pl.col("status") == "applied")["row_number"].unique()
    return Edited(
        rows=edited,
        changed=edited.filter(pl.col("row_number").cast(pl.Int64).is_in(touched.implode())),
        log=log,
    )


def _with_new_values(rows: pl.DataFrame, applied: pl.DataFrame) -> pl.DataFrame:
    for (column,), of_column in applied.group_by("column_name", maintain_order=True):
        name = str(column)
        new = of_column.select(
            pl.col("row_number").cast(rows.schema["row_number"]), pl.col("new_value"), edited=pl.lit(value=True)
        )
        rows = (
            rows.join(new, on="row_number", how="left", maintain_order="left")
            .with_columns(pl.when(pl.col("edited")).then(pl.col("new_value")).otherwise(pl.col(name)).alias(name))
            .drop("new_value", "edited")
        )
    return rows


def _violation(where: str, code: str, *, expected: str, got: str, hint: str, rows: tuple[int, ...] = ()) -> Violation:
    return Violation(code=code, where=where, expected=expected, got=got, hint=hint, rows=rows)
