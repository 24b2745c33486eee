"""What is wrong with the contracts, collected so that it is raised once.

Belongs here: the collector. Does not belong here: any rule that decides whether something is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import Violation, ViolationsError


@dataclass
class Findings:
    """Violations found below one folder of contracts."""

    root: Path
    violations: list[Violation] = field(default_factory=list)

    def add(self, code: str, where: str, expected: str, got: str, hint: str) -> None:
        """Keep a violation; `where` is the path below the root, and what in it is meant."""
        self.violations.append(Violation(code, f"data_contracts/{where}", expected, got, hint))

    def add_duplicates(self, values: Sequence[str], what: str, where: str) -> None:
        """Keep a violation for every value that is there more than once."""
        for value in sorted({entry for entry in values if values.count(entry) > 1}):
            self.add("duplicate", where, f"each {what} once", value, "delete or correct one of the two")

    def raise_if_any(self) -> None:
        """Raise everything found so far.

        Raises:
            ViolationsError: if there is anything.
        """
        if self.violations:
            raise ViolationsError(f"contracts in {self.root}", self.violations)
