"""The packages that axstat runs on: found from its own requirements, whatever else is installed beside it.

Belongs here: the walk over what installed packages say they need, and what they say of their licence. Does not belong
here: the form in which a release tells it (sbom), which licences are welcome and what the lock file says (tests/audit).
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.errors import AxstatError

# Classifiers that leave no doubt; "BSD License" could be either of two
_LICENCES = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
}
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        name: in its normal form, e.g. ``ruamel-yaml``.
        licence: an SPDX expression, or else what the package calls it; None where it says nothing.
        requires: names of the packages that it needs here, sorted; without those of extras that nobody asked for.
    """

    name: str
    version: str
    licence: str | None
    requires: tuple[str, ...]


@cache  # What is installed stays the same while a run lasts, and reading it takes as long as all else here
def needed_by(root: str) -> tuple[Package, ...]:
    """A package without its extras and all that it needs on this system, directly or not, sorted by name.

    Raises:
        AxstatError: one of them is not installed.
    """
    found: dict[str, PackageMetadata] = {}
    stated: dict[str, list[Requirement]] = {}
    requires: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(root), "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        if name not in found:
            found[name] = _installed(name, root)
            stated[name] = [Requirement(text) for text in found[name].get_all("Requires-Dist") or ()]
            requires[name] = set()
        for needed in stated[name]:
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                target = canonicalize_name(needed.name)
                requires[name].add(target)
                waiting += [(target, inner) for inner in ("", *needed.extras)]
    return tuple(
        Package(name, one["Version"], licence(one), tuple(sorted(requires[name])))
        for name, one in sorted(found.items())
    )


def licence(told: PackageMetadata) -> str | None:
    """What a package says of its licence: an SPDX expression where that can be had, else its own words."""
    said = [told[field].strip() for field in ("License-Expression", "License") if field in told]
    for text in said:
        try:
            return str(canonicalize_license_expression(text))
        except InvalidLicenseExpression:
            continue
    classifiers = [
        name
        for parts in (text.split(" :: ") for text in told.get_all("Classifier") or ())
        if parts[0] == "License" and (name := parts[-1]) != "OSI Approved"
    ]
    if classifiers and all(name in _LICENCES for name in classifiers):
        return " OR ".join(sorted({_LICENCES[name] for name in classifiers}))
    # Some have the whole text of the licence there
    names = [*(text for text in said if len(text) <= _LONGEST_NAME and "\n" not in text), *classifiers]
    return next((name for name in names if name), None)


def _installed(name: str, root: str) -> PackageMetadata:
    try:
        return metadata(name)
    except PackageNotFoundError as error:
        raise AxstatError(
            "package_missing",
            where=name,
            expected=f"every package that {root} needs",
            got="not installed",
            hint="install again: `make` does from requirements.lock, pip from the wheel",
        ) from error
