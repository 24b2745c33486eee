"""Code lists in one JSON object: {"list": {"code": "label", ...}, ...} -> TextTable.

Belongs here: one row a code. Does not belong here: what a list is for.
"""

from pathlib import Path

import polars as pl

from pipelines.intake.form import FileForm
from pipelines.intake.formats.json_text import read_json
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table

HEADERS = ("list", "code", "label")


def read_code_lists(path: Path, form: FileForm, *, file: str) -> TextTable:
    """One row a code in the order of the file, with the columns `list`, `code` and `label`.

    Raises:
        ViolationsError: not JSON, or an object of another shape.
    """
    found = read_json(path, file=file)
    lists = found.items() if isinstance(found, dict) else ()
    rows = [(name, code, label) for name, codes in lists if isinstance(codes, dict) for code, label in codes.items()]
    shape = bool(lists) and all(isinstance(codes, dict) for _, codes in lists)
    if not shape or not all(isinstance(label, str) for _, _, label in rows):
        raise file_error(
            file,
            "not_code_lists",
            expected='{"list": {"code": "label", ...}, ...}',
            got=f"{found!r}"[:120],
            hint="send the lists in this form, or name the file's real format",
        )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(HEADERS, pl.String()), orient="row")
    return text_table(frame, HEADERS, Provenance(file=file, format="code lists", encoding="utf-8"))
