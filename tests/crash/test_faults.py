"""Faults in the middle of a run, a few rounds of each: what stood before stands, and the next run finishes.

A kill late in the run is played by `make test`, the others are slow tests; `make test-crash` plays all rounds and
writes the page.
"""

import pytest

from tests.crash.faults import FAULTS, play
from tests.crash.stand import Stand, make_stand

# One country for all of them
pytestmark = pytest.mark.xdist_group("crash")

ALWAYS = {("killed", 3)}
SHORT = [
    pytest.param(name, number, marks=() if (name, number) in ALWAYS else pytest.mark.slow)
    for name, fault in FAULTS.items()
    for number in range(fault.rounds[1])
]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return make_stand(tmp_path_factory.mktemp("stand"), scale=0.01)


@pytest.mark.parametrize(("fault", "number"), SHORT)
def test_what_stood_before_stands_and_the_next_run_finishes(stand: Stand, fault: str, number: int) -> None:
    found = play(stand, fault, number, FAULTS[fault].rounds[1])
    if found.skipped:
        pytest.skip(found.skipped)
    assert not found.broken, found.broken
    assert (found.opens, found.whole, found.same) == (True, True, True)
