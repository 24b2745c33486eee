"""SPSS files (.sav, .zsav) -> TextTable.

Belongs here: values as text, variable and value labels. Does not belong here: which codes mean missing:
user-missing values stay values, the contract says what they mean.
"""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl

from pipelines.errors import ViolationsError
from pipelines.intake.manifest import ManifestFile
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text

# On some damaged files pyreadstat ends its process, which no caller can catch: it gets a process of its own.
_READER = f"{__package__}.spss_process"
# How Python ends after an error that the reader's program does not expect
_TRACEBACK = 1


def read_spss(path: Path, entry: ManifestFile, *, file: str) -> TextTable:
    """Read the file at `path`; headers are variable names, labels the variable labels; `file` names it in
    messages.

    Numbers are given as codes (not as labels), dates as ISO 8601. A declared encoding overrides the file's
    own. The file is read by a process of its own (about half a second to start).

    Raises:
        ViolationsError: a file that is cut off or is not SPSS, bytes its encoding does not have, or no rows.
    """
    reader = subprocess.run(
        [sys.executable, "-m", _READER, str(path), _readstat_name(entry.encoding)], capture_output=True, check=False
    )
    if reader.returncode == _TRACEBACK:
        raise RuntimeError(f"{_READER} on {file}:\n{reader.stderr.decode(errors='replace')}")
    if reader.returncode != 0:
        raise _unreadable(file, "truncated_file", f"bytes that crash its reader (status {reader.returncode})")
    line, _, rows = reader.stdout.partition(b"\n")
    found = json.loads(line)
    if "error" in found:
        foreign = found["error"] == UnicodeDecodeError.__name__
        raise _unreadable(file, "wrong_encoding" if foreign else "truncated_file", found["text"])
    provenance = Provenance(file=file, format="spss", encoding=found["encoding"])
    return text_table(
        typed_to_text(pl.read_ipc_stream(rows), provenance),
        found["names"],
        provenance,
        labels=found["labels"],
        value_labels=found["value_labels"],
    )


def _unreadable(file: str, code: str, got: str) -> ViolationsError:
    return file_error(
        file,
        code,
        expected="a complete SPSS file",
        got=got,
        hint="send the complete file again; if it opens in SPSS, declare its 'encoding' in the manifest",
    )


def _readstat_name(encoding: str | None) -> str:
    return {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp949": "CP949"}[encoding] if encoding else ""
