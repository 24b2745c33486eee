"""A writer of SAS data sets for tests: ReadStat has one, pyreadstat carries it but offers no call of it."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

from pyreadstat import _readstat_writer

_STRING, _DOUBLE = 0, 5
_WRITE = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def write_sas7bdat(
    path: Path, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | float | None]]
) -> None:
    """Write rows of text and numbers; None is SAS's missing value, a column is (name, label)."""
    library = ctypes.CDLL(_readstat_writer.__file__)
    library.readstat_writer_init.restype = ctypes.c_void_p
    library.readstat_add_variable.restype = ctypes.c_void_p
    written = bytearray()

    def take(data: int, length: int, _: object) -> int:
        written.extend(ctypes.string_at(data, length))
        return length

    keep = _WRITE(take)
    writer = ctypes.c_void_p(library.readstat_writer_init())
    library.readstat_set_data_writer(writer, keep)
    variables = []
    for (name, label), value in zip(columns, rows[0], strict=True):
        kind = _STRING if isinstance(value, str) else _DOUBLE
        width = ctypes.c_size_t(40 if kind == _STRING else 0)
        variable = ctypes.c_void_p(library.readstat_add_variable(writer, name.encode(), kind, width))
        library.readstat_variable_set_label(variable, label.encode())
        variables.append(variable)

    def done(code: int) -> None:
        assert code == 0, f"ReadStat's error {code}"

    done(library.readstat_begin_writing_sas7bdat(writer, None, ctypes.c_long(len(rows))))
    for row in rows:
        done(library.readstat_begin_row(writer))
        for variable, value in zip(variables, row, strict=True):
            if value is None:
                done(library.readstat_insert_missing_value(writer, variable))
            elif isinstance(value, str):
                done(library.readstat_insert_string_value(writer, variable, value.encode()))
            else:
                done(library.readstat_insert_double_value(writer, variable, ctypes.c_double(value)))
        done(library.readstat_end_row(writer))
    done(library.readstat_end_writing(writer))
    library.readstat_writer_free(writer)
    path.write_bytes(written)
