"""Which deliveries each step of a wave rests on, so that half a wave is never built upon (decision 0002).

Belongs here: the fingerprint of a wave's inputs and its comparison. Does not belong here: running a step.
"""

import hashlib

import polars as pl

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.warehouse.session import Session

# In the order in which a wave goes through them. These rest on the wave's own deliveries …
OWN_STEPS = ("core", "weights", "estimates", "replicates")
# … and the last one, with changes, progress and all that is published, on those of the earlier waves too
MARTS = "marts"
STEPS = (*OWN_STEPS, MARTS)


def fingerprints(session: Session, library: ContractLibrary, *, survey: str, upto: int) -> dict[int, str]:
    """By wave, up to and with `upto`: hash over the survey's current files and edit files and the contracts' versions.

    Versions of outside series are left out: no step of a wave rests on them.
    """
    files = session.table("meta.delivery_file", where={"survey": survey, "status": "current"}).sort("contract")
    edits = session.table("raw.edit", where={"survey": survey}, columns=("wave", "edit_sha256")).unique()
    contracts = [
        f"{name}={version}" for name, version in library.versions.items() if not name.startswith("benchmarks/")
    ]
    found = {}
    for wave in sorted({upto, *files["wave"].filter(files["wave"] < upto)}):
        digest = hashlib.sha256()
        of_wave = pl.col("wave") == wave
        for line in (
            *files.filter(of_wave)["file_sha256"],
            *sorted(edits.filter(of_wave)["edit_sha256"]),
            *contracts,
        ):
            digest.update(line.encode() + b"\n")
        found[wave] = digest.hexdigest()
    return found


def fingerprint(session: Session, library: ContractLibrary, *, survey: str, wave: int) -> str:
    """That of one wave, see `fingerprints`."""
    return fingerprints(session, library, survey=survey, upto=wave)[wave]


def record_step(session: Session, library: ContractLibrary, *, survey: str, wave: int, step: str) -> None:
    """Note, in the step's own transaction, what it rests on."""
    row = {
        "survey": survey,
        "wave": wave,
        "step": step,
        "fingerprint": _wanted(fingerprints(session, library, survey=survey, upto=wave), wave)[step],
    }
    session.replace(
        "meta.step",
        pl.DataFrame([row], schema_overrides={"wave": pl.Int32}),
        where={name: row[name] for name in ("survey", "wave", "step")},
    )


def stale_steps(session: Session, library: ContractLibrary, *, survey: str, wave: int) -> list[str]:
    """Steps of a wave that are missing or do not rest on the deliveries that are current now, in their order."""
    wanted = _wanted(fingerprints(session, library, survey=survey, upto=wave), wave)
    steps = session.table("meta.step", where={"survey": survey, "wave": wave})
    found = dict(steps.select("step", "fingerprint").iter_rows())
    return [step for step in STEPS if found.get(step) != wanted[step]]


def _wanted(by_wave: dict[int, str], wave: int) -> dict[str, str]:
    """The fingerprint each step of a wave has when it is whole."""
    history = hashlib.sha256("\n".join(f"{one}={mark}" for one, mark in sorted(by_wave.items())).encode())
    return {**dict.fromkeys(OWN_STEPS, by_wave[wave]), MARTS: history.hexdigest()}


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


def require_releasable(session: Session, library: ContractLibrary, *, wave: int) -> None:
    """Make sure that a wave, and every earlier one whose marts it publishes, rests on what is current now.

    An earlier wave whose marts were never made has none to publish.

    Raises:
        AxstatError: naming every wave and step that does not, and the command that mends it.
    """
    made = session.table("meta.step", where={"step": MARTS}, columns=("survey", "wave"))
    published = {(survey, one) for survey, one in made.iter_rows() if one < wave}
    published |= {(survey, wave) for survey in library.surveys}
    stale = {
        (one, survey): steps
        for survey, one in published
        if (steps := stale_steps(session, library, survey=survey, wave=one))
    }
    if stale:
        waves = sorted({one for one, _ in stale})
        alone = waves == [wave]
        raise AxstatError(
            "wave_not_whole",
            where=f"release of wave {wave}",
            expected="every step of it, and of the earlier waves in it, built from the current deliveries",
            got="; ".join(f"{survey} {one}: {', '.join(steps)}" for (one, survey), steps in sorted(stale.items())),
            hint=f"run `axstat run --wave {wave}` first"
            if alone
            else f"run `axstat run --all`, or `axstat run --wave` for {', '.join(map(str, waves))} in this order",
        )
