"""The page of faults and outcomes, from what the rounds gave.

Belongs here: the page's text and tables. Does not belong here: the rounds (faults.py).
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.crash.faults import FAULTS, Round

PAGE = Path(__file__).parents[2] / "reports" / "methodology" / "crash_safety.md"
_COUNTS = ("rounds", "opens", "whole", "same")
_ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<rounds>\d+) \| [^|]+ \| (?P<opens>\d+) \| (?P<whole>\d+) \| (?P<same>\d+) \|$",
    re.MULTILINE,
)

_BEFORE = """\
# Crash safety

What faults do to a run of a wave, and what is there afterwards. `make test-crash` makes them, on a synthetic country in
which one wave is published already and the next one runs, and writes the figures of this page; a short version is among
the tests (`tests/crash`). After each round three things are looked at:

- the warehouse opens, and the earlier wave has the rows it had;
- nothing is visible below `published/` but whole releases: every file has the hash that its release's manifest states,
  releases have the bytes of an undisturbed run, and `latest` names one that can be queried;
- the wave, run again, gives the rows and the published bytes of a run that nothing disturbed, to the last bit, and what
  the broken run left behind is gone.

"""
_AFTER = """
What a row names after commas is played in turn, one a round: with one round, the first of them.

Why it holds: a step is one transaction of the warehouse; a release is built in a hidden folder, checked there, and
appears by one rename; `latest` moves by one rename. A lock, which the system takes back from a process however it ends,
lets one process write to the warehouse and one make a release; who waits too long is told who has it. Readers keep the
file they opened: a release is never written over.

Not shown here: a power cut. DuckDB waits for the disk when it commits; the files of a release and the run history are
left to the operating system, so after a power cut hold the newest release against its deliveries (`axstat replay`).
"""


def page_of(rounds: Sequence[Round]) -> str:
    """The page with the figures of the rounds."""
    lines = [
        "| fault | rounds | how the run ended | warehouse opens | releases whole | next run equal |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for name, fault in FAULTS.items():
        made = [one for one in rounds if one.fault == name and not one.skipped]
        ended = Counter(one.ended for one in made)
        told = "killed" if name == "killed" else "; ".join(f"{how} ({n})" for how, n in sorted(ended.items()))
        held = [sum(getattr(one, condition) for one in made) for condition in _COUNTS[1:]]
        lines.append(" | ".join(("", fault.what, str(len(made)), told or "not made", *map(str, held), "")).strip())
    steps = Counter(one.ended for one in rounds if one.fault == "killed" and not one.skipped)
    hit = ", ".join(f"`{step}` {n}" for step, n in sorted(steps.items(), key=lambda item: (-item[1], item[0])))
    figures = "\n".join(lines)
    return f"{_BEFORE}{figures}\n\nThe step at work when a run was killed: {hit}.\n{_AFTER}"


def rows_of(page: str) -> dict[str, tuple[int, ...]]:
    """By fault, as a page has them: rounds, and in how many of them each of the three conditions held."""
    return {row["what"]: tuple(int(row[name]) for name in _COUNTS) for row in _ROW.finditer(page)}
