"""What is there: waves, how far each is built, deliveries, what is published. Reads only."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError
from pipelines.intake.manifest import look_for_deliveries
from pipelines.release.vintages import MANIFEST, Vintage, last_vintage, read_manifest, vintages
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.session import Session
from pipelines.warehouse.steps import MARTS, fingerprints, stale_steps


def latest_database(settings: Settings) -> Path:
    """The published DuckDB file that `latest` names.

    Raises:
        AxstatError: if nothing is published yet.
    """
    path = settings.published_dir / "latest" / "axstat.duckdb"
    if not path.is_file():
        raise AxstatError(
            "nothing_published",
            where=str(settings.published_dir),
            expected="a published release",
            got="none",
            hint="run `axstat run --all` (or `make report`) first",
        )
    return path


def overview(settings: Settings) -> pl.DataFrame:
    """One row a survey and wave: its files, how far it is built, its newest vintage.

    Returns:
        survey, wave, files (current ones), synthetic, state, published (vintage, or empty). ``state`` is 'whole', or
        'to run: ' and the deliveries that were not taken in yet or else the steps that are missing or older than the
        deliveries, or 'stale: ' and the earlier waves that changed since the vintage was made.
    """
    library = load_library(settings.contracts_dir)
    columns = {
        "survey": pl.String, "wave": pl.Int32, "files": pl.UInt32, "synthetic": pl.Boolean,
        "state": pl.String, "published": pl.String,
    }  # fmt: skip
    if not settings.warehouse_file.exists():
        return pl.DataFrame(schema=columns)
    rows = []
    with _warehouse(settings, library).session() as session:
        register = session.table("meta.delivery_file")
        current = register.filter(pl.col("status") == "current")
        waves = current.group_by("survey", "wave").agg(pl.len().alias("files"), pl.col("synthetic").any())
        new = _not_taken_in(settings, register)
        for row in waves.sort("wave", "survey").to_dicts():
            vintage = last_vintage(settings.published_dir, row["wave"])
            state = _state(session, library, settings, new, row["survey"], row["wave"], vintage)
            rows.append(row | {"state": state, "published": str(vintage) if vintage else None})
    return pl.DataFrame(rows, schema=columns)


def delivery_states(settings: Settings) -> pl.DataFrame:
    """One row a delivery in the folder.

    Returns:
        delivery, survey, wave, sequence, state, why. ``state`` is 'new' (no run has read it), 'taken in', 'rejected' or
        'not readable'; of one that is not readable only its folder is known, and why.

    Raises:
        AxstatError: the warehouse cannot be opened.
    """
    columns = {
        "delivery": pl.String, "survey": pl.String, "wave": pl.Int32, "sequence": pl.Int32,
        "state": pl.String, "why": pl.String,
    }  # fmt: skip
    found = look_for_deliveries(settings.deliveries_dir)
    rejected: dict[str, set[str]] = {}
    known: set[str] = set()
    if settings.warehouse_file.exists():
        with _warehouse(settings, load_library(settings.contracts_dir)).session() as session:
            register = session.table("meta.delivery_file", columns=("delivery", "status", "reason"))
        known = set(register["delivery"])
        for delivery, status, reason in register.iter_rows():
            if status == "rejected":
                rejected.setdefault(delivery, set()).add(reason or "")
    rows = [
        {
            "delivery": one.delivery,
            "survey": one.survey,
            "wave": one.wave,
            "sequence": one.sequence,
            "state": "rejected" if one.delivery in rejected else "taken in" if one.delivery in known else "new",
            "why": ", ".join(sorted(rejected[one.delivery])) if one.delivery in rejected else None,
        }
        for one in found.manifests
    ]
    rows += [
        {"delivery": violation.where, "state": "not readable", "why": violation.code}
        for problem in found.problems
        for violation in problem.violations
    ]
    return pl.DataFrame(rows, schema=columns)


def releases(settings: Settings) -> pl.DataFrame:
    """One row a release, oldest wave first.

    Returns:
        release, wave, synthetic, files, latest (whether `latest` names it).
    """
    columns = {
        "release": pl.String, "wave": pl.Int32, "synthetic": pl.Boolean, "files": pl.UInt32, "latest": pl.Boolean,
    }  # fmt: skip
    pointer = settings.published_dir / "latest"
    latest = pointer.readlink().name if pointer.is_symlink() else None
    rows = []
    for vintage in vintages(settings.published_dir):
        manifest = read_manifest(settings.published_dir, vintage)
        rows.append(
            {
                "release": str(vintage),
                "wave": vintage.wave,
                "synthetic": manifest["synthetic"],
                "files": len(manifest["files"]),
                "latest": str(vintage) == latest,
            }
        )
    return pl.DataFrame(rows, schema=columns)


def _warehouse(settings: Settings, library: ContractLibrary) -> Warehouse:
    """A run keeps the file for a wave: who asks is told at once who has it."""
    return Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library, lock_timeout=2.0)


def stale_waves(table: pl.DataFrame) -> list[int]:
    """Waves of an overview that were published, and of which an earlier wave changed since then."""
    stale = pl.col("published").is_not_null() & pl.col("state").str.starts_with(_STALE)
    return table.filter(stale)["wave"].unique().sort().to_list()


_STALE = "stale: "
_New = Mapping[tuple[str, int], list[str]]


def _not_taken_in(settings: Settings, register: pl.DataFrame) -> _New:
    """Deliveries in the folder that no run has read, by survey and wave."""
    known = set(register["delivery"])
    found: dict[tuple[str, int], list[str]] = {}
    for manifest in look_for_deliveries(settings.deliveries_dir).manifests:
        if manifest.delivery not in known:
            found.setdefault((manifest.survey, manifest.wave), []).append(manifest.delivery)
    return found


def _state(
    session: Session,
    library: ContractLibrary,
    settings: Settings,
    new: _New,
    survey: str,
    wave: int,
    vintage: Vintage | None,
) -> str:
    if (survey, wave) in new:
        return f"to run: new delivery {', '.join(new[survey, wave])}"
    steps = stale_steps(session, library, survey=survey, wave=wave)
    if set(steps) - {MARTS}:
        return f"to run: {', '.join(steps)}"
    changed = {(one, other) for other, one in new if one < wave}
    if vintage is not None and (settings.published_dir / str(vintage) / MANIFEST).is_file():
        rested = read_manifest(settings.published_dir, vintage).get("rests_on", {})
        for other in library.surveys:
            for one, mark in fingerprints(session, library, survey=other, upto=wave).items():
                if rested and one < wave and rested.get(other, {}).get(str(one)) != mark:
                    changed.add((one, other))
    if changed:
        waves = ", ".join(f"{other} {one}" for one, other in sorted(changed))
        return f"{_STALE}{waves} changed" + (f" since {vintage}" if vintage else "")
    return f"to run: {', '.join(steps)}" if steps else "whole"
