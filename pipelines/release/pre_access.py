"""A release for those who may see it before its moment: a folder of its own, nothing published.

Belongs here: who may see it by now, and the folder. Does not belong here: the list itself (data_contracts), how the
folder comes to them, publishing (publish).
"""

import datetime
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.signed import Override, PreAccess
from pipelines.errors import AxstatError
from pipelines.release.publish import ReleaseInput, next_vintage, write_candidate
from pipelines.settings import Settings

_LIST = "pre_access.json"


@dataclass(frozen=True)
class Opened:
    """The folder, and who may see it by now."""

    folder: Path
    people: tuple[PreAccess, ...]

    def __str__(self) -> str:
        names = "\n".join(f"  {person.who}, {person.role_en}: {person.why_en}" for person in self.people)
        return f"{self.folder}\nfor nobody but\n{names}"


def open_to_listed(
    settings: Settings,
    library: ContractLibrary,
    given: ReleaseInput,
    *,
    now: datetime.datetime,
    overrides: Sequence[Override] = (),
) -> Opened:
    """Make the folder of the next release for the listed whose time has come; an earlier one of it is replaced.

    Args:
        now: the moment of asking (`gate.utc_now`).

    Raises:
        RefusedError: there is another reason to refuse than that the moment has not come.
        AxstatError: the moment has come, or nobody's time has.
    """
    people = _listed(library, given.wave, now)
    with write_candidate(settings, library, given, now=now, overrides=overrides) as folder:
        told = [{**person.model_dump(), "from": _from(library, given.wave, person).isoformat()} for person in people]
        (folder / _LIST).write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        target = settings.pre_access_dir / str(next_vintage(settings.published_dir, given.wave))
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return Opened(target, tuple(people))


def _listed(library: ContractLibrary, wave: int, now: datetime.datetime) -> list[PreAccess]:
    moment = library.calendar.release_moment(wave)
    if now >= moment:
        raise AxstatError(
            "already_public",
            where=f"wave {wave}",
            expected=f"a moment before {moment.isoformat(timespec='minutes')}",
            got="the publication's moment has come",
            hint=f"run `axstat release --wave {wave}`",
        )
    people = [person for person in library.pre_access.people if now >= _from(library, wave, person)]
    if not people:
        times = [
            f"{person.who} from {_from(library, wave, person).isoformat(timespec='minutes')}"
            for person in library.pre_access.people
        ]
        raise AxstatError(
            "no_pre_access",
            where="data_contracts/pre_access.yaml",
            expected="somebody whose time has come",
            got=", ".join(times) or "nobody on the list",
            hint="wait, or have the publisher put them on the list; nobody else may see the release",
        )
    return people


def _from(library: ContractLibrary, wave: int, person: PreAccess) -> datetime.datetime:
    return library.calendar.release_moment(wave) - datetime.timedelta(hours=person.hours_before)
