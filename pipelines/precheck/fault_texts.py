"""What is said of a file, whoever checks it: the verdicts, the texts of the contracts for its violations.

Belongs here: looking a violation's code up, how many rows are named as examples. Does not belong here: the texts
(data_contracts), how they are told (letter, reading_told).
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from pipelines.contracts.file_faults import FileFault
from pipelines.contracts.models import TableContract
from pipelines.errors import AxstatError, Violation

Verdict = Literal["accept", "remarks", "reject"]
EXAMPLES = 10


def fault_texts(violations: Iterable[Violation], known: Mapping[str, FileFault]) -> dict[str, FileFault]:
    """The texts of what was found, by code.

    Raises:
        AxstatError: a code without text.
    """
    codes = dict.fromkeys(violation.code for violation in violations)
    if unknown := [code for code in codes if code not in known]:
        raise AxstatError(
            "fault_without_text",
            where="data_contracts/file_faults.yaml",
            expected="a text for every code of a fault",
            got=f"none for {', '.join(unknown)}",
            hint="add the code with its texts in both languages",
        )
    return {code: known[code] for code in codes}


def rule_texts(contract: TableContract) -> dict[str, FileFault]:
    """The rules of a contract that may reject a whole file, as texts of that fault."""
    return {
        rule.id: FileFault(
            code=rule.id,
            message_ko=rule.message_ko,
            message_en=rule.message_en,
            action_ko=rule.action_ko,
            action_en=rule.action_en,
        )
        for rule in (*contract.quality, *contract.sql_rules)
        if rule.severity == "fail_file"
    }
