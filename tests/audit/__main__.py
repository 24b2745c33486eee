"""`make check`, its part on dependencies: what is installed against the lock file and the licences that are welcome.

Belongs here: where these stand, and the report. Does not belong here: the comparison (installed.py); known
vulnerabilities, which `make audit` asks the network for.
"""

import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from tests.audit.installed import findings, locked

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
# `make spark` installs it besides; it has some packages of the other, at the same version
ADDED = ROOT / "tests" / "requirements-spark.lock"


def main() -> int:
    """Print what is wrong; 0 when nothing is."""
    with (ROOT / "pyproject.toml").open("rb") as opened:
        project = tomllib.load(opened)
    audit = project["tool"]["axstat"]["audit"]
    installed = [one.metadata for one in distributions()]
    found = findings(
        installed,
        lock=locked(LOCK),
        added=locked(ADDED),
        unlocked={project["project"]["name"], *audit["unlocked"]},
        welcome=audit["licences"],
        stated=audit["stated"],
    )
    sys.stderr.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{len(installed)} packages against {LOCK.name} and the licences: {len(found)} finding(s)\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
