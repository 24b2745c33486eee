"""`make test-crash`: every fault in full, and the page of what came of them; an error if anything did not hold.

Belongs here: the command's options, playing rounds side by side. Does not belong here: a round (faults.py).
"""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.crash.faults import FAULTS, Round, play
from tests.crash.page import PAGE, page_of
from tests.crash.stand import make_stand


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, help="of each fault (default: as many as the page has)")
    parser.add_argument("--scale", type=float, default=0.05, help="of the country (default 0.05)")
    parser.add_argument("--jobs", type=int, default=2, help="rounds side by side (default 2)")
    asked = parser.parse_args()
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="axstat-crash-") as folder:
        stand = make_stand(Path(folder), scale=asked.scale)
        # Each in a process of its own that begins afresh: a run is no thread's
        with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = [
                pool.submit(play, stand, name, number, asked.rounds or FAULTS[name].rounds[0])
                for name in asked.fault or FAULTS
                for number in range(asked.rounds or FAULTS[name].rounds[0])
            ]
            for done in as_completed(waiting):
                rounds.append(done.result())
                _say(rounds[-1])
    if asked.fault is None and asked.rounds is None:
        PAGE.write_text(page_of(rounds), encoding="utf-8")
    broken = [one for one in rounds if one.broken]
    sys.stdout.write(f"{len(rounds)} rounds, {len(broken)} in which something did not hold\n")
    return 1 if broken else 0


def _say(one: Round) -> None:
    told = one.broken or one.skipped or one.ended
    sys.stdout.write(f"{one.fault} {one.number}: {'BROKEN ' if one.broken else ''}{told}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
