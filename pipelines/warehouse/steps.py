"""Which deliveries each step of a wave rests on, so that half a wave is never built upon (decision 0002).

Belongs here: the fingerprint of a wave's inputs and its comparison. Does not belong here: running a step.
"""

import hashlib

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.session import Session

# In the order in which a wave goes through them
STEPS = ("core", "weights", "estimates", "replicates")


def fingerprint(session: Session, library: ContractLibrary, *, survey: str, wave: int) -> str:
    """Hash over the current files and edit files of a survey and wave and the versions of the contracts.

    Those of outside series are left out: no step of a wave rests on them.
    """
    files = session.table("meta.delivery_file", where={"survey": survey, "wave": wave, "status": "current"}).sort(
        "contract"
    )
    edits = session.table("raw.edit", where={"survey": survey, "wave": wave}, columns=("edit_sha256",))
    edit_files = sorted(set(edits["edit_sha256"]))
    digest = hashlib.sha256()
    contracts = (item for item in library.versions.items() if not item[0].startswith("benchmarks/"))
    for line in (*files["file_sha256"], *edit_files, *(f"{name}={version}" for name, version in contracts)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def record_step(session: Session, library: ContractLibrary, *, survey: str, wave: int, step: str) -> None:
    """Note, in the step's own transaction, what it rests on."""
    row = {
        "survey": survey,
        "wave": wave,
        "step": step,
        "fingerprint": fingerprint(session, library, survey=survey, wave=wave),
    }
    session.replace(
        "meta.step",
        pl.DataFrame([row], schema_overrides={"wave": pl.Int32}),
        where={name: row[name] for name in ("survey", "wave", "step")},
    )


def stale_steps(session: Session, library: ContractLibrary, *, survey: str, wave: int) -> list[str]:
    """Steps of a wave that are missing or do not rest on the deliveries that are current now, in their order."""
    wanted = fingerprint(session, library, survey=survey, wave=wave)
    steps = session.table("meta.step", where={"survey": survey, "wave": wave})
    found = dict(steps.select("step", "fingerprint").iter_rows())
    return [step for step in STEPS if found.get(step) != wanted]


def require_whole(session: Session, library: ContractLibrary, *, survey: str, wave: int, upto: str) -> None:
    """Make sure that every step of a wave up to `upto` rests on the deliveries that are current now.

    Raises:
        AxstatError: naming the steps that do not, and the command that mends it.
    """
    needed = STEPS[: STEPS.index(upto) + 1]
    stale = [step for step in stale_steps(session, library, survey=survey, wave=wave) if step in needed]
    if stale:
        raise AxstatError(
            "wave_not_whole",
            where=f"{survey} {wave}",
            expected=f"all steps up to {upto} built from the current deliveries",
            got=f"missing or older: {', '.join(stale)}",
            hint=f"run `axstat run --wave {wave}` first",
        )
