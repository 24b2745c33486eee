"""Deliveries and their manifests: what was sent, and which of it counts.

Belongs here: the manifest's shape, finding deliveries, and the rule which file of several deliveries
is the current one. Does not belong here: reading a data file (delivery.py, formats/).
"""

import errno
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.errors import Violation, ViolationsError
from pipelines.intake.form import FileForm, PathBelow, Text, leads_out

MANIFEST_NAME = "manifest.json"
# Some 2,000 files; nobody sends as many
MANIFEST_BYTES = 1_000_000
# Table and folder names are made of these, so nothing but letters, digits and - _ . is let in.
# What the warehouse's INTEGER holds
_MOST = 2**31 - 1
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class SentFile(FileForm):
    """One file of a delivery; hashes are kept in lower case, though some tools print them in capitals.

    `layout_sha256` is of the layout, which decides what the file says as much as its own bytes; the layout of a zip
    lies in it.
    """

    file: PathBelow
    sha256: Sha256
    layout_sha256: Sha256 | None = None

    @field_validator("sha256", "layout_sha256")
    @classmethod
    def _lower(cls, value: str | None) -> str | None:
        return None if value is None else value.lower()

    @model_validator(mode="after")
    def _layout_has_its_hash(self) -> "SentFile":
        beside = self.layout is not None and PurePosixPath(self.file).suffix.lower() != ".zip"
        if beside and self.layout_sha256 is None:
            raise ValueError("layout needs its sha256 beside it, as layout_sha256")
        if not beside and self.layout_sha256 is not None:
            raise ValueError("layout_sha256 is of a layout beside the file, and there is none")
        return self

    @property
    def sent_layout(self) -> "SentFile | None":
        """The layout as a file of the delivery; None: there is none outside the file."""
        if self.layout is None or self.layout_sha256 is None:
            return None
        return SentFile(file=str(PurePosixPath(self.file).parent / self.layout), sha256=self.layout_sha256)


class ManifestFile(SentFile):
    """One data file. `rows` counts data rows, without header rows; `codebook` is the contractor's codebook of it."""

    contract: Name
    rows: int = Field(ge=0, le=_MOST)
    codebook: SentFile | None = None


class Manifest(BaseModel):
    """The manifest of one delivery; `folder` is where it was found, not one of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    delivery: Name
    survey: Name
    wave: int = Field(ge=1900, le=2999)
    sequence: int = Field(ge=1, le=_MOST)
    question_version: Text
    tech_list_version: Text
    collection_start: date
    collection_end: date
    sender: Text
    synthetic: bool
    files: tuple[ManifestFile, ...] = Field(min_length=1)
    folder: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _hangs_together(self) -> "Manifest":
        problems = []
        if self.collection_end < self.collection_start:
            problems.append("collection_end lies before collection_start")
        # A reference year is asked about in that year or, at the latest, in the next.
        if not self.wave <= self.collection_start.year <= self.wave + 1:
            problems.append(
                f"wave {self.wave} does not fit a collection that starts in {self.collection_start.year}: "
                "it must start in the wave's year or the next"
            )
        for key in ("file", "contract"):
            values = [getattr(entry, key) for entry in self.files]
            repeated = sorted({value for value in values if values.count(value) > 1})
            if repeated:
                problems.append(f"files: {key} {', '.join(repeated)} stands more than once")
        hashes: dict[str, set[str]] = {}
        for sent in self._named:
            hashes.setdefault(sent.file, set()).add(sent.sha256)
        problems += [
            f"files: {file} stands with two sha256" for file, found in sorted(hashes.items()) if len(found) > 1
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def _named(self) -> list[SentFile]:
        tables = [*(entry.codebook for entry in self.files if entry.codebook is not None), *self.files]
        return [*(sent.sent_layout for sent in tables if sent.sent_layout is not None), *tables]

    @property
    def sent_files(self) -> tuple[SentFile, ...]:
        """Every file that the manifest names, each once: layouts, codebooks and data files."""
        return tuple({sent.file: sent for sent in self._named}.values())

    def where(self, entry: SentFile) -> str:
        """How messages name a file of this delivery."""
        return f"{self.folder.name}/{entry.file}"


@dataclass(frozen=True)
class SelectedFile:
    """One file of a survey and wave and whether it counts; `reason` says why it does not (None: it does)."""

    manifest: Manifest
    entry: ManifestFile
    status: Literal["current", "superseded"]
    reason: str | None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the delivery in `folder`.

    Raises:
        ViolationsError: names the manifest file and lists every problem in it at once.
    """
    try:
        content = _bytes(folder)
    except OSError as error:
        where = f"{folder.name}/{MANIFEST_NAME}"
        raise _manifest_error(where, "a readable file", str(error.strerror), "send the manifest again") from error
    return parse_manifest(content, folder)


def _bytes(folder: Path) -> bytes:
    """The manifest's bytes. Who may drop files may drop others than files: a pipe would be waited for without end.

    Raises:
        OSError: it cannot be read, or is no file of a manifest's size within the folder.
    """
    path = folder / MANIFEST_NAME
    if leads_out(path, folder):
        raise OSError(errno.EPERM, "a link that leads out of the folder")
    if path.exists() and not path.is_file():
        raise OSError(errno.EPERM, "no file: a folder, pipe or device")
    with path.open("rb") as opened:
        content = opened.read(MANIFEST_BYTES + 1)
    if len(content) > MANIFEST_BYTES:
        raise OSError(errno.EFBIG, f"more than {MANIFEST_BYTES:,} bytes")
    return content


def parse_manifest(manifest: bytes, folder: Path) -> Manifest:
    """The manifest that lies, or is to lie, in `folder`.

    Raises:
        ViolationsError: names the manifest file and lists every problem in it at once.
    """
    where = f"{folder.name}/{MANIFEST_NAME}"
    try:
        content = json.loads(manifest.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except (RecursionError, UnicodeDecodeError, ValueError) as error:
        raise _manifest_error(where, "JSON in UTF-8", str(error), "correct the manifest and send it again") from error
    if not isinstance(content, dict):
        raise _manifest_error(where, "a JSON object", type(content).__name__, "correct the manifest and send it again")
    if "folder" in content:
        raise _manifest_error(where, "the keys of the manifest's schema", "key 'folder'", "leave out the key")
    try:
        # Through JSON mode, so that dates are ISO text while "2025" is not taken for the number 2025.
        return Manifest.model_validate_json(json.dumps({**content, "folder": str(folder)}))
    except ValidationError as error:
        problems = [
            problem
            for problem in error.errors(include_url=False)
            # A list all of whose entries are wrong is called too short as well; it is not.
            if not (problem["type"] == "too_short" and problem["input"])
        ]
        raise ViolationsError(where, [_from_pydantic(where, problem) for problem in problems]) from error


@dataclass(frozen=True)
class DeliveryProblem:
    """What is wrong with a manifest; `waves` are the surveys and waves it says it is of, none: it does not say."""

    waves: frozenset[tuple[str, int]]
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class FoundDeliveries:
    """What lies in the deliveries folder: deliveries in order, and what is wrong with others, or with their ids."""

    manifests: tuple[Manifest, ...]
    problems: tuple[DeliveryProblem, ...]

    def violations(self, *, survey: str, wave: int) -> list[Violation]:
        """What stands in the way of one survey and wave."""
        found = [problem.violations for problem in self.problems if (survey, wave) in problem.waves]
        return [violation for violations in found for violation in violations]

    @property
    def unplaced(self) -> list[Violation]:
        """What is wrong with deliveries that do not say which survey and wave they are of."""
        found = [problem.violations for problem in self.problems if not problem.waves]
        return [violation for violations in found for violation in violations]


def find_deliveries(deliveries_root: Path) -> list[Manifest]:
    """Every delivery below `deliveries_root`, sorted by survey, wave, sequence and id.

    Raises:
        ViolationsError: the problems of all manifests at once, each naming its folder.
    """
    found = look_for_deliveries(deliveries_root)
    if found.problems:
        violations = [violation for problem in found.problems for violation in problem.violations]
        raise ViolationsError(str(deliveries_root.name), violations)
    return list(found.manifests)


def look_for_deliveries(deliveries_root: Path) -> FoundDeliveries:
    """Every delivery below `deliveries_root`, sorted by survey, wave, sequence and id, and what cannot be read.

    A delivery is a folder directly in `deliveries_root` that holds a manifest; a folder without one is still
    being uploaded (the manifest comes last) and is left alone. A root that does not exist holds no
    deliveries.
    """
    manifests: list[Manifest] = []
    problems: list[DeliveryProblem] = []
    for path in sorted(deliveries_root.glob(f"*/{MANIFEST_NAME}")):
        if path.parent.name.startswith("."):
            continue
        try:
            manifests.append(read_manifest(path.parent))
        except ViolationsError as error:
            problems.append(DeliveryProblem(_claimed_waves(path.parent), error.violations))
    manifests.sort(key=lambda one: (one.survey, one.wave, one.sequence, one.delivery))
    for delivery, group in groupby(sorted(manifests, key=lambda one: one.delivery), key=lambda one: one.delivery):
        same = list(group)
        if len(same) > 1:
            violation = Violation(
                code="delivery_repeated",
                where=", ".join(one.folder.name for one in same),
                expected="one folder for each delivery id",
                got=f"delivery {delivery!r} in {len(same)} folders",
                hint="remove the copy, or give the later one its own id and the next sequence number",
            )
            problems.append(DeliveryProblem(frozenset((one.survey, one.wave) for one in same), (violation,)))
    return FoundDeliveries(tuple(manifests), tuple(problems))


def _claimed_waves(folder: Path) -> frozenset[tuple[str, int]]:
    """Survey and wave of a manifest that is otherwise wrong, as far as it says them."""
    try:
        content = json.loads(_bytes(folder).decode("utf-8-sig"))
    except (OSError, RecursionError, UnicodeDecodeError, ValueError):
        return frozenset()
    if not isinstance(content, dict):
        return frozenset()
    survey, wave = content.get("survey"), content.get("wave")
    return frozenset({(survey, wave)}) if isinstance(survey, str) and isinstance(wave, int) else frozenset()


def select_files(
    manifests: Iterable[Manifest], *, survey: str, wave: int, contracts: Collection[str]
) -> list[SelectedFile]:
    """Which files of all `manifests` count for one survey and wave, contract by contract.

    A later sequence replaces the earlier one. A file with the bytes of the one that counts so far is no
    change: the earlier one stays, the repetition is set aside. Sorted by contract, then sequence.

    Args:
        manifests: as `find_deliveries` returns them, of all surveys and waves.
        contracts: the contracts the wave must have, each at least once, and no other.

    Raises:
        ViolationsError: a contract without file, a contract the survey does not have, two files of one
            contract with the same sequence, a file already delivered for another wave, or waves asked in two
            ways.
    """
    of_survey = [one for one in manifests if one.survey == survey]
    chosen = [(one, entry) for one in of_survey if one.wave == wave for entry in one.files]
    selected = _ranked(chosen)
    violations = [
        *_contract_violations(chosen, survey=survey, wave=wave, contracts=contracts),
        *_sequence_violations(chosen),
        *_other_wave_violations(of_survey, wave=wave),
        *_version_violations(selected),
    ]
    if violations:
        raise ViolationsError(f"deliveries of {survey} {wave}", violations)
    return selected


def _ranked(chosen: list[tuple[Manifest, ManifestFile]]) -> list[SelectedFile]:
    """The files of one survey and wave, each with whether it counts."""
    selected: list[SelectedFile] = []
    ordered = sorted(chosen, key=lambda pair: (pair[1].contract, pair[0].sequence))
    for _, group in groupby(ordered, key=lambda pair: pair[1].contract):
        files = list(group)
        current = files[0]
        for candidate in files[1:]:
            if candidate[1].sha256 != current[1].sha256:
                current = candidate
        for manifest, entry in files:
            if (manifest, entry) == current:
                selected.append(SelectedFile(manifest, entry, "current", None))
                continue
            what = "same content as" if entry.sha256 == current[1].sha256 else "replaced by"
            reason = f"{what} {current[0].where(current[1])}"
            selected.append(SelectedFile(manifest, entry, "superseded", reason))
    return selected


def _contract_violations(
    chosen: list[tuple[Manifest, ManifestFile]], *, survey: str, wave: int, contracts: Collection[str]
) -> list[Violation]:
    violations = [
        Violation(
            code="unknown_contract",
            where=manifest.where(entry),
            expected=f"one of {', '.join(sorted(contracts))}",
            got=entry.contract,
            hint="correct 'contract' (or 'survey') in the manifest",
        )
        for manifest, entry in chosen
        if entry.contract not in contracts
    ]
    missing = sorted(set(contracts) - {entry.contract for _, entry in chosen})
    violations.extend(
        Violation(
            code="missing_file",
            where=f"deliveries of {survey} {wave}",
            expected=f"a file for the contract {contract}",
            got="none",
            hint="deliver the file, or correct survey, wave and contract in the manifests that are there",
        )
        for contract in missing
    )
    return violations


def _sequence_violations(chosen: list[tuple[Manifest, ManifestFile]]) -> list[Violation]:
    seen: dict[tuple[str, int], list[str]] = {}
    for manifest, entry in chosen:
        seen.setdefault((entry.contract, manifest.sequence), []).append(manifest.where(entry))
    return [
        Violation(
            code="sequence_repeated",
            where=", ".join(files),
            expected=f"one file of {contract} with sequence {sequence}",
            got=f"{len(files)} files",
            hint="give the delivery that is to count the next sequence number, or remove the other",
        )
        for (contract, sequence), files in sorted(seen.items())
        if len(files) > 1
    ]


def _other_wave_violations(of_survey: list[Manifest], *, wave: int) -> list[Violation]:
    """Only what counts is compared: a file sent for the wrong wave and corrected since does no harm."""
    latest: dict[tuple[int, str], tuple[Manifest, ManifestFile]] = {}
    for manifest in sorted(of_survey, key=lambda one: one.sequence):
        for entry in manifest.files:
            latest[manifest.wave, entry.contract] = (manifest, entry)
    return [
        Violation(
            code="file_of_another_wave",
            where=manifest.where(entry),
            expected=f"a file of the wave {wave}",
            got=f"the bytes that delivery {other.delivery} sent for the wave {other.wave}",
            hint="send this wave's file, or correct the wave in the manifest that is wrong",
        )
        for (own_wave, contract), (manifest, entry) in latest.items()
        if own_wave == wave
        for (other_wave, other_contract), (other, other_entry) in latest.items()
        if other_wave != wave and other_contract == contract and other_entry.sha256 == entry.sha256
    ]


def _version_violations(selected: list[SelectedFile]) -> list[Violation]:
    versions: dict[tuple[str, str], list[str]] = {}
    for file in selected:
        if file.status == "current":
            manifest = file.manifest
            names = versions.setdefault((manifest.question_version, manifest.tech_list_version), [])
            if manifest.folder.name not in names:
                names.append(manifest.folder.name)
    if len(versions) < 2:
        return []
    listed = "; ".join(f"{question} / {tech}: {', '.join(names)}" for (question, tech), names in versions.items())
    return [
        Violation(
            code="question_versions_differ",
            where=", ".join(name for names in versions.values() for name in names),
            expected="one question_version and tech_list_version in all files of a wave that count",
            got=listed,
            hint="correct the manifest that is wrong",
        )
    ]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refusing a key that stands twice (plain JSON would keep the last one silently)."""
    keys = [key for key, _ in pairs]
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        raise ValueError(f"key stands more than once: {', '.join(repeated)}")
    return dict(pairs)


def _manifest_error(where: str, expected: str, got: str, hint: str) -> ViolationsError:
    return ViolationsError(
        where, [Violation(code="manifest_unreadable", where=where, expected=expected, got=got, hint=hint)]
    )


def _from_pydantic(where: str, problem: Any) -> Violation:
    place = ".".join(str(part) for part in problem["loc"])
    given = problem["input"]
    got = repr(given) if isinstance(given, (str, int, float, bool)) else type(given).__name__
    return Violation(
        code="manifest_invalid",
        where=f"{where}{f', {place}' if place else ''}",
        expected=problem["msg"],
        got="nothing" if problem["type"] == "missing" else got,
        hint="correct the manifest; its keys and their meaning stand in manifest.schema.json",
    )
