"""SPSS files (.sav, .zsav) -> TextTable.

Belongs here: values as text, variable and value labels. Does not belong here: which codes mean missing:
user-missing values stay values, the contract says what they mean.
"""

from pathlib import Path

import pyreadstat

from pipelines.intake.manifest import ManifestFile
from pipelines.intake.problems import file_error
from pipelines.intake.table import Provenance, TextTable, text_table, typed_to_text


def read_spss(path: Path, entry: ManifestFile, *, file: str) -> TextTable:
    """Read the file at `path`; headers are variable names, labels the variable labels; `file` names it in
    messages.

    Numbers are given as codes (not as labels), dates as ISO 8601. A declared encoding overrides the file's
    own.

    Raises:
        ViolationsError: a file that is cut off or is not SPSS, bytes its encoding does not have, or no rows.
    """
    try:
        frame, meta = pyreadstat.read_sav(
            path, user_missing=True, encoding=_readstat_name(entry.encoding), output_format="polars"
        )
    except (pyreadstat.ReadstatError, UnicodeDecodeError) as error:
        raise file_error(
            file,
            "truncated_file" if isinstance(error, pyreadstat.ReadstatError) else "wrong_encoding",
            expected="a complete SPSS file",
            got=str(error),
            hint="send the complete file again; if it opens in SPSS, declare its 'encoding' in the manifest",
        ) from error
    provenance = Provenance(file=file, format="spss", encoding=meta.file_encoding)
    return text_table(
        typed_to_text(frame, provenance),
        list(meta.column_names),
        provenance,
        labels=list(meta.column_labels),
        value_labels={
            name: {_code_text(code): str(label) for code, label in labels.items()}
            for name, labels in meta.variable_value_labels.items()
        },
    )


def _readstat_name(encoding: str | None) -> str | None:
    return {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp949": "CP949"}[encoding] if encoding else None


def _code_text(code: object) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)
