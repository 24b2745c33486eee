"""Why a vintage differs from the one before it, from the manifests of both.

Belongs here: comparing what two releases rest on. Does not belong here: what differs in their rows (difference),
whether a new vintage is needed (publish).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Cause:
    """One thing that changed.

    Attributes:
        cause: 'delivery', 'edits', 'contract', 'outside_series', 'words', 'program' or 'libraries'.
        survey, wave: of a delivery or edits; None otherwise.
        what: contract of the delivery, name of the contract file, or empty.
        before, after: delivery, version or revision; None where there was, or is, none.
    """

    cause: str
    survey: str | None = None
    wave: int | None = None
    what: str = ""
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        of = f"{self.survey} {self.wave}" if self.survey else ""
        before, after = self.before or "none", self.after or "none"
        if self.cause == "delivery":
            how = "new" if self.before is None else f"in place of {before}"
            return f"delivery of {of}: {self.what} of {after}, {how}"
        if self.cause == "edits":
            return f"edit files of {of}: {after} file(s) where there were {before}, or others"
        if self.cause == "contract":
            return f"contract {self.what}: version {after} where it was {before}"
        if self.cause == "outside_series":
            return "figures fetched from other offices"
        if self.cause == "words":
            return "words or look of the report"
        return f"{self.cause}: {after} where it was {before}"


def causes(before: Manifest, after: Manifest) -> list[Cause]:
    """Everything that two releases of one wave rest on differently, in a fixed order.

    Program and libraries count only where nothing else changed: with another cause they need not have changed a number.

    Args:
        before, after: manifests, as `publish` writes them; keys that an older one lacks are not compared.
    """
    found = [*_deliveries(before, after), *_edits(before, after), *_contracts(before, after)]
    if _differs(before, after, "outside_series"):
        found.append(Cause("outside_series"))
    then, now = before["made_with"], after["made_with"]
    if _differs(then, now, "words_sha256"):
        found.append(Cause("words"))
    if not found:
        for name, key in (("program", "git_revision"), ("program", "axstat"), ("libraries", "lock_sha256")):
            if _differs(then, now, key):
                found.append(Cause(name, before=then[key], after=now[key]))
    return found


def _deliveries(before: Manifest, after: Manifest) -> Iterator[Cause]:
    then, now = (
        {
            (row["wave"], row["survey"], row["contract"]): row
            for row in manifest["deliveries"]
            if row["status"] == "current"
        }
        for manifest in (before, after)
    )
    for key in sorted({*then, *now}):
        old, new = then.get(key), now.get(key)
        if (old and old["file_sha256"]) != (new and new["file_sha256"]):
            wave, survey, contract = key
            yield Cause("delivery", survey, wave, contract, old and old["delivery"], new and new["delivery"])


def _edits(before: Manifest, after: Manifest) -> Iterator[Cause]:
    if "edit_files" not in before or "edit_files" not in after:
        return
    then, now = (_by_wave(manifest["edit_files"]) for manifest in (before, after))
    for key in sorted({*then, *now}):
        old, new = then.get(key, set()), now.get(key, set())
        if old != new:
            wave, survey = key
            yield Cause("edits", survey, wave, before=str(len(old)), after=str(len(new)))


def _by_wave(edit_files: list[dict[str, Any]]) -> dict[tuple[int, str], set[str]]:
    found: dict[tuple[int, str], set[str]] = {}
    for row in edit_files:
        found.setdefault((row["wave"], row["survey"]), set()).add(row["edit_sha256"])
    return found


def _contracts(before: Manifest, after: Manifest) -> Iterator[Cause]:
    then, now = before["made_with"]["contracts"], after["made_with"]["contracts"]
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            yield Cause("contract", what=name, before=then.get(name), after=now.get(name))


def _differs(then: Manifest, now: Manifest, key: str) -> bool:
    return key in then and key in now and then[key] != now[key]
