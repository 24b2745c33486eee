"""The page says what the harness does."""

from tests.crash.faults import FAULTS, Round
from tests.crash.page import PAGE, page_of, rows_of


def test_the_page_has_every_fault_and_everything_held_in_every_round() -> None:
    found = rows_of(PAGE.read_text(encoding="utf-8"))
    assert sorted(found) == sorted(fault.what for fault in FAULTS.values())
    for what, (rounds, *held) in found.items():
        assert rounds > 0, what
        assert held == [rounds] * 3, what


def test_a_page_counts_what_held_and_what_did_not() -> None:
    rounds = [
        Round("killed", 0, "release", opens=True, whole=True, same=True),
        Round("killed", 1, "industry__staging", opens=True, broken="half a release"),
        Round("disk_full", 0, skipped="no right"),
    ]
    page = page_of(rounds)
    assert f"| {FAULTS['killed'].what} | 2 | killed | 2 | 1 | 1 |" in page
    assert f"| {FAULTS['disk_full'].what} | 0 | not made | 0 | 0 | 0 |" in page
    assert "`industry__staging` 1, `release` 1" in page
    assert rows_of(page)[FAULTS["killed"].what] == (2, 2, 1, 1)
