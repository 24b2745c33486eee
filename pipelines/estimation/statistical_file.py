"""The program of the process that `data` starts: one SPSS or Stata file in; one line of JSON and its rows out.

Belongs here: the call of pyreadstat. Does not belong here: words for people, or any import that the call does not
need: each file pays for it.
"""

import json
import sys

import pyreadstat

from pipelines.intake.formats.statistical_process import UNREADABLE


def main(path: str, columns: list[str]) -> None:
    """Write the file at `path` to standard output: a line of JSON with the `names` of all columns, then rows.

    User-missing values of SPSS and the missing values of Stata are null. The rows are an Arrow stream of `columns`;
    without any there is only the line. Of a file that cannot be read the line has `error`.
    """
    read = pyreadstat.read_dta if path.lower().endswith(".dta") else pyreadstat.read_sav
    try:
        if columns:
            frame, _ = read(path, usecols=columns, output_format="polars")
        _, meta = read(path, metadataonly=True, output_format="polars")
    except UNREADABLE as error:
        _write_line({"error": f"{type(error).__name__}: {error}"})
        return
    _write_line({"names": meta.column_names})
    if columns:
        frame.write_ipc_stream(sys.stdout.buffer)


def _write_line(found: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(found).encode("ascii") + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
