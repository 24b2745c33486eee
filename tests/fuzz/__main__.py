"""`make fuzz`: damaged files for each reader, for some minutes each; ends with an error if anything was found.

Belongs here: the command's options and its report. Does not belong here: the search (search.py).
"""

import argparse
import os
import sys

from pipelines.settings import load_settings
from tests.fuzz.search import search, targets


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each reader (default 10)")
    parser.add_argument("--reader", action="append", choices=sorted(known), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--tries", type=int, help="files for each reader (default: as many as the time allows)")
    asked = parser.parse_args()
    folder = load_settings(os.environ).home / "fuzz"
    found = 0
    _say(f"{'reader':<16}{'files':>8}{'refused':>9}{'read':>7}{'findings':>10}  slowest; most frequent codes")
    for name in asked.reader or known:
        result = search(
            known[name], first_seed=asked.seed, tries=asked.tries, seconds=60 * asked.minutes, folder=folder
        )
        took, seed = result.slowest
        codes = ", ".join(f"{code} {times}" for code, times in result.codes.most_common(4))
        counts = f"{result.tried:>8}{result.codes.total():>9}{result.accepted:>7}{len(result.findings):>10}"
        _say(f"{name:<16}{counts}  {took:.1f} s (seed {seed}); {codes}")
        for finding in result.findings:
            _say(f"  {finding}: try it again by --reader {name} --seed {finding.name.rsplit('-', 1)[1]} --tries 1")
        found += len(result.findings)
    return 1 if found else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
