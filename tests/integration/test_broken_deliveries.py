"""A corpus of broken deliveries: each is accepted, quarantined or rejected as it should be, and no row is lost.

Each case corrects one file of a good wave by a second delivery, and is run by the pipeline's own assets up to core.
Only errors for people are caught: whatever else comes out of a reader fails its case.
"""

import resource
from pathlib import Path
from typing import Literal

import pytest

from tests.integration.broken import cells, files, manifests
from tests.integration.broken.country import (
    SECOND,
    Accepted,
    Case,
    Delivery,
    Ignored,
    Outcome,
    Quarantined,
    Rejected,
    SmallWave,
)

CASES = [*cells.CASES, *files.CASES, *manifests.CASES]
# What a case adds to the process that runs all cases one after the other, and of the largest process of a reader
MOST_BYTES = 2**30
_NOT_FOR_PEOPLE = ("Traceback", 'File "', "Error(", "<class ", "Exception")


def own_bytes(which: Literal["VmRSS", "VmHWM"]) -> int:
    """Memory that this process has, or had at most since its peak was forgotten."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{which}:"))


def forget_peak() -> None:
    """Let the kernel count this process's peak anew: what ran before, other tests too, is not the next case's."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def largest_child() -> int:
    """Most memory that any process of a reader that ended ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


@pytest.fixture(scope="module")
def small_wave(tmp_path_factory: pytest.TempPathFactory) -> SmallWave:
    return SmallWave(tmp_path_factory.mktemp("broken"))


def test_the_corpus_is_large_and_its_cases_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.slow) for case in CASES]
)
def test_broken_delivery(small_wave: SmallWave, case: Case) -> None:
    forget_peak()
    held, largest_before = own_bytes("VmRSS"), largest_child()
    delivery, found = small_wave.run(case)
    for violation in (*found.violations, *found.at_command):
        for part in (violation.code, violation.where, violation.expected, violation.got, violation.hint):
            assert part.strip()
            assert not any(words in part for words in _NOT_FOR_PEOPLE)
    if isinstance(case.expected, Rejected):
        refused(case.expected, delivery, found, small_wave.good)
    elif isinstance(case.expected, Ignored):
        left_alone(case.expected, found, small_wave.good)
    else:
        taken(case, case.expected, delivery, found, small_wave)
    peak = own_bytes("VmHWM")
    assert peak - held <= MOST_BYTES
    # A child is as large as this process until it runs its own program
    assert largest_child() <= max(largest_before, MOST_BYTES, peak)


def refused(expected: Rejected, delivery: Delivery, found: Outcome, good: Outcome) -> None:
    """The wave is as it was; the register names the file and why."""
    assert {violation.code for violation in found.violations} == expected.codes
    as_before(found, good)
    if not expected.registered:
        # Where the fault is an edit file's, the delivery's own files were taken
        assert "rejected" not in found.register["status"]
        return
    [file] = [row for row in found.register.to_dicts() if row["delivery"] == SECOND]
    assert (file["file_name"], file["status"]) == (delivery.name, "rejected")
    assert set(file["reason"].split(", ")) == expected.codes
    assert file["rows_in"] == delivery.entry["rows"]


def as_before(found: Outcome, good: Outcome) -> None:
    for before, after in zip(good.kept, found.kept, strict=True):
        assert after.equals(before)
    assert found.balance.equals(good.balance)


def left_alone(expected: Ignored, found: Outcome, good: Outcome) -> None:
    assert not found.violations
    as_before_but_for_repetitions(found, good)
    assert {violation.code for violation in found.at_command} == expected.codes


def as_before_but_for_repetitions(found: Outcome, good: Outcome) -> None:
    for before, after in zip(good.kept, found.kept, strict=True):
        assert after.equals(before)
    balanced(found)


def taken(case: Case, expected: Accepted | Quarantined, delivery: Delivery, found: Outcome, wave: SmallWave) -> None:
    """Every row that was sent is in core or, with its reasons, in quarantine; the first delivery's are superseded."""
    assert not found.violations
    assert not found.at_command
    of_file = [row for row in found.quarantine.to_dicts() if row["contract"] == case.contract]
    sent = int(str(delivery.entry["rows"]))
    held = expected.of(sent) if isinstance(expected, Quarantined) else 0
    rules = expected.rules if isinstance(expected, Quarantined) else set()
    assert {rule for row in of_file for rule in row["rules"]} == rules
    assert len(of_file) == held
    assert all(reason.strip() for row in of_file for reason in row["reasons"])
    [counted] = [row for row in found.balance.to_dicts() if row["contract"] == case.contract]
    before = len(wave.grids[case.contract].rows)
    assert counted == counted | {
        "rows_in": before + sent, "core": sent - held, "quarantined": held, "rejected": 0, "superseded": before
    }  # fmt: skip
    assert found.staged[case.contract] == sent - held
    balanced(found)
    assert not found.failed_checks


def balanced(found: Outcome) -> None:
    assert found.balance.height == 3
    for row in found.balance.to_dicts():
        assert row["rows_in"] == row["core"] + row["quarantined"] + row["rejected"] + row["superseded"]
