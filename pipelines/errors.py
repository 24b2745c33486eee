"""Errors that axstat raises on purpose, worded for the person who must act.

Belongs here: the error classes and how one reads as text. Does not belong here: how an error is
printed (cli), or any rule that decides whether something is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class AxstatError(Exception):
    """Something a person can mend.

    Args:
        code: short stable name of the rule that was broken, e.g. ``"missing_column"``.
        where: what it is about: a file, a file and its rows, a table, a setting.
        expected: what the rule asks for.
        got: what was found instead.
        hint: what to do next.
    """

    def __init__(self, code: str, *, where: str, expected: str, got: str, hint: str) -> None:
        self.code = code
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with the text alone where an error comes from another process
        return _as_it_was, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return (
            f"[{self.code}] {self.where}\n  expected: {self.expected}\n  got:      {self.got}\n  to do:    {self.hint}"
        )


def _as_it_was(kind: type[AxstatError], args: tuple[Any, ...], state: Mapping[str, Any]) -> AxstatError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


@dataclass(frozen=True)
class Violation:
    """One broken rule. `rows` are 1-based data row numbers (empty: the rule is about the whole file)."""

    code: str
    where: str
    expected: str
    got: str
    hint: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(str(row) for row in self.rows[:10])
        more = f" and {len(self.rows) - 10} more" if len(self.rows) > 10 else ""
        rows = f", rows {shown}{more}" if self.rows else ""
        return (
            f"[{self.code}] {self.where}{rows}\n"
            f"  expected: {self.expected}\n"
            f"  got:      {self.got}\n"
            f"  to do:    {self.hint}"
        )


class ViolationsError(AxstatError):
    """Everything that is wrong with one thing, raised once (``violations`` is never empty)."""

    def __init__(self, where: str, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(
            self.violations[0].code,
            where=where,
            expected="no violations",
            got=f"{len(self.violations)} violation(s)",
            hint=self.violations[0].hint,
        )

    def __str__(self) -> str:
        listed = "\n".join(str(violation) for violation in self.violations)
        return f"{self.where}: {len(self.violations)} violation(s)\n{listed}"
