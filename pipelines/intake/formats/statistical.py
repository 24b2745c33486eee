"""Files of statistical programs -> TextTable: SPSS (.sav, .zsav), Stata (.dta), SAS (.sas7bdat, .xpt).

Belongs here: values as text, variable and value labels. Does not belong here: which codes mean missing:
user-missing values stay values (Stata's and SAS's .a to .z as letters), the contract says what they mean.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.form import FileForm
from pipelines.intake.formats.process import read_in_process
from pipelines.intake.limits import LIMITS, Limits
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text

PROGRAMS: Mapping[str, str] = MappingProxyType(
    {".sav": "SPSS", ".zsav": "SPSS", ".dta": "Stata", ".sas7bdat": "SAS", ".xpt": "SAS"}
)
_NAMES_ITS_ENCODING = (".sav", ".zsav", ".sas7bdat")
# On some damaged files pyreadstat ends its process, which no caller can catch: it gets a process of its own.
STATISTICAL_PROGRAM = f"{__package__}.statistical_process"
_STATA_WITH_UTF_8 = 118
# What a form may declare -> what iconv calls it; text of these programs has units of one byte.
_ICONV = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "cp949": "CP949",
    "euc-kr": "CP949",
    "windows-1252": "WINDOWS-1252",
    "latin-1": "ISO-8859-1",
    "shift_jis": "SHIFT_JIS",
}


def read_statistical(path: Path, form: FileForm, *, file: str, limits: Limits = LIMITS) -> TextTable:
    """Read the file at `path`; headers are variable names, labels the variable labels; `file` names it in
    messages.

    Numbers are given as codes (not as labels), dates as ISO 8601. A declared encoding overrides the file's
    own. The file is read by a process of its own (about half a second to start).

    Raises:
        ViolationsError: a file that is cut off or is not of that program, bytes its encoding does not have, text in an
            encoding that neither file nor manifest names, no rows, or more than the limits.
    """
    program = PROGRAMS[path.suffix.lower()]
    if form.encoding is not None and form.encoding not in _ICONV:
        raise _unreadable(file, program, "wrong_encoding", f"{form.encoding}, which no such file has")
    found, rows = read_in_process(
        STATISTICAL_PROGRAM,
        path,
        [_ICONV[form.encoding] if form.encoding else "", "null"],
        file=file,
        what=f"a complete {program} file",
        hint=_again(program),
        limits=limits,
    )
    if "error" in found:
        foreign = found["error"] == UnicodeDecodeError.__name__
        raise _unreadable(file, program, "wrong_encoding" if foreign else "truncated_file", found["text"])
    provenance = Provenance(file=file, format=program.lower(), encoding=found["encoding"])
    table = text_table(
        typed_to_text(pl.read_ipc_stream(rows), provenance),
        found["names"],
        provenance,
        labels=found["labels"],
        value_labels=found["value_labels"],
    )
    if form.encoding is None and not _names_its_encoding(path) and _has_foreign_letters(table):
        raise file_error(
            file,
            "encoding_not_declared",
            expected="the encoding of text beyond English letters, which this kind of file does not name",
            got="such text, and no encoding",
            hint="declare the file's 'encoding' in the manifest (Korean files of Stata 13 and older: cp949)",
        )
    return table


def _names_its_encoding(path: Path) -> bool:
    """Whether a file says how its text is encoded: those of SPSS and SAS do, those of Stata from 14 on are in UTF-8."""
    if PROGRAMS[path.suffix.lower()] != "Stata":
        return path.suffix.lower() in _NAMES_ITS_ENCODING
    with path.open("rb") as stream:
        release = re.match(rb"<stata_dta><header><release>(\d{3})</release>", stream.read(64))
    return release is not None and int(release[1]) >= _STATA_WITH_UTF_8


def _has_foreign_letters(table: TextTable) -> bool:
    told = [*table.headers, *(label or "" for label in table.labels)]
    told += [label for labels in table.value_labels.values() for label in labels.values()]
    beyond = pl.any_horizontal(pl.all().str.contains(r"[^\x00-\x7f]")).any()
    return not all(text.isascii() for text in told) or bool(table.frame.select(beyond).item())


def _unreadable(file: str, program: str, code: str, got: str) -> ViolationsError:
    return file_error(file, code, expected=f"a complete {program} file", got=got, hint=_again(program))


def _again(program: str) -> str:
    return f"send the complete file again; if it opens in {program}, declare its 'encoding' in the manifest"
