"""How intake says that a file is wrong as a whole.

Belongs here: the short form of a file's violation. Does not belong here: any rule.
"""

from pipelines.errors import Violation, ViolationsError


def file_error(
    file: str, code: str, *, expected: str, got: str, hint: str, rows: tuple[int, ...] = (), part: str = ""
) -> ViolationsError:
    """The error for one broken rule of one file; `part` names a part of it, e.g. 'header'."""
    where = f"{file}, {part}" if part else file
    violation = Violation(code=code, where=where, expected=expected, got=got, hint=hint, rows=rows)
    return ViolationsError(file, [violation])
