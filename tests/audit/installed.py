"""Installed packages held against a lock file and a list of licences, without a network.

Belongs here: the lock file as packages, and every way in which an installation may differ from it. Does not belong
here: where the files are and what is printed (`__main__`), what a package says of its licence (release.packages).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageMetadata
from pathlib import Path

from license_expression import ExpressionError, get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.release.packages import licence

_SPDX = get_spdx_licensing()


@dataclass(frozen=True)
class Pin:
    """A line of a lock file; `version` is None where it pins none, `applies` is False on other systems."""

    name: str
    version: str | None
    hashes: int
    applies: bool


def locked(path: Path) -> tuple[Pin, ...]:
    """The lines of a lock file as pip reads them: a requirement, then its hashes."""
    pins = []
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        text, *hashes = entry.split("--hash=")
        if not text.strip():
            continue
        requirement = Requirement(text.strip())
        pinned = [one.version for one in requirement.specifier if one.operator == "=="]
        pins.append(
            Pin(
                name=canonicalize_name(requirement.name),
                version=pinned[0] if len(pinned) == len(requirement.specifier) == 1 else None,
                hashes=sum(one.startswith("sha256:") for one in hashes),
                applies=requirement.marker is None or requirement.marker.evaluate(),
            )
        )
    return tuple(pins)


def findings(
    installed: Sequence[PackageMetadata],
    *,
    lock: Sequence[Pin],
    added: Sequence[Pin],
    unlocked: Collection[str],
    welcome: Collection[str],
    stated: Mapping[str, str],
) -> list[str]:
    """Everything that is wrong, one line each.

    Args:
        lock: must be installed, as it says.
        added: may be installed, as it says.
        unlocked: may be installed in any version.
        welcome: licences, as SPDX names them or as packages do that say it in other words.
        stated: licences by name of packages that do not tell theirs, or not so that one could judge.
    """
    found: list[str] = []
    for pin in (*lock, *added):
        if pin.version is None:
            found.append(f"{pin.name}: not pinned to one version; make the lock file again")
        if not pin.hashes:
            found.append(f"{pin.name}: pinned without a hash; make the lock file again with --generate-hashes")
    here: dict[str, PackageMetadata] = {}
    for one in installed:
        name = canonicalize_name(one["Name"])
        if name in here:
            found.append(f"{name}: installed twice, {here[name]['Version']} and {one['Version']}; remove one")
        here[name] = one
    must = {pin.name: pin.version for pin in lock if pin.applies}
    may = {pin.name: pin.version for pin in added if pin.applies} | must
    found += [f"{name}: locked at {must[name]}, not installed; run `make`" for name in sorted(must.keys() - here)]
    for name, one in sorted(here.items()):
        if may.get(name) not in (None, one["Version"]):
            found.append(f"{name}: locked at {may[name]}, installed is {one['Version']}; run `make clean`, then `make`")
        if name not in may and name not in unlocked:
            found.append(f"{name}: installed and in no lock file; run `.venv/bin/pip uninstall {name}`, or lock it")
    return [*found, *_licences(here, welcome, stated)]


def _licences(
    here: Mapping[str, PackageMetadata], welcome: Collection[str], stated: Mapping[str, str]
) -> Iterator[str]:
    for name, one in sorted(here.items()):
        told = licence(one)
        if told is not None and is_welcome(told, welcome):
            if name in stated:
                yield f"{name}: tells {told} by itself; take it out of [tool.axstat.audit.stated] of pyproject.toml"
        elif name not in stated:
            yield (
                f"{name}: licence {told or 'not told'}, not on the list in [tool.axstat.audit] of pyproject.toml;"
                " look it up, do without the package, add to the list, or say under `stated` what it is"
            )
        elif not is_welcome(stated[name], welcome):
            yield f"{name}: licence {stated[name]} is not on the list in [tool.axstat.audit] of pyproject.toml"
    for name in sorted(stated.keys() - here):
        yield f"{name}: not installed; take it out of [tool.axstat.audit.stated] of pyproject.toml"


def is_welcome(told: str, welcome: Collection[str]) -> bool:
    """Whether a licence is on the list: of a choice one must be, of several that hold together all."""
    if told in welcome:
        return True
    try:
        return _holds(_SPDX.parse(told, validate=True), welcome)
    except ExpressionError:
        return False


def _holds(expression: object, welcome: Collection[str]) -> bool:
    if isinstance(expression, _SPDX.OR):
        return any(_holds(part, welcome) for part in expression.args)
    if isinstance(expression, _SPDX.AND):
        return all(_holds(part, welcome) for part in expression.args)
    return str(expression) in welcome
