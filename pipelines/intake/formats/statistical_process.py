"""The program of the process that `read_statistical` starts: one file of SPSS, Stata or SAS in; one line
of JSON and its rows out.

Belongs here: the call of pyreadstat, and nothing that can be done outside. Does not belong here: words for people,
cells as text (statistical.py), or any import that the call does not need: each file pays for it.
"""

import json
import sys
from functools import partial

import pyreadstat

# What damaged files were seen to raise, besides pyreadstat's own errors: in its Python and in the frame it builds
UNREADABLE = (
    pyreadstat.ReadstatError,
    pyreadstat.PyreadstatError,
    IndexError,
    OverflowError,
    TypeError,
    ValueError,
)


def main(path: str, encoding: str) -> None:
    """Read the file at `path` and write it to standard output.

    First a line of JSON with `names`, `labels`, `value_labels` and `encoding`, then the rows as an Arrow stream. Or,
    of a file that cannot be read, only a line of JSON with `error` and `text`.

    Args:
        path: the file.
        encoding: a name iconv knows, or '' for the one that the file names.
    """
    lower = path.lower()
    read = (
        pyreadstat.read_xport
        if lower.endswith(".xpt")
        else partial(pyreadstat.read_dta if lower.endswith(".dta") else pyreadstat.read_sav, user_missing=True)
    )
    try:
        frame, meta = read(path, encoding=encoding or None, output_format="polars")
    except UNREADABLE as error:
        _write_line({"error": type(error).__name__, "text": str(error)})
        return
    found = {
        "names": meta.column_names,
        "labels": meta.column_labels,
        "value_labels": {
            name: {_code_text(code): str(label) for code, label in labels.items()}
            for name, labels in meta.variable_value_labels.items()
        },
        "encoding": meta.file_encoding,
    }
    _write_line(found)
    # Numbers among which Stata's letters for missing values stand
    mixed = [name for name, dtype in frame.schema.items() if str(dtype) == "Object"]
    for name in mixed:
        cells = [None if cell is None else _code_text(cell) for cell in frame[name].to_list()]
        frame = frame.replace_column(frame.get_column_index(name), type(frame[name])(name, cells))
    frame.write_ipc_stream(sys.stdout.buffer)


def _write_line(found: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(found).encode("ascii") + b"\n")


def _code_text(code: object) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
