"""What is there: waves, how far each is built, what is published. Reads only."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError
from pipelines.intake.manifest import look_for_deliveries
from pipelines.release.vintages import MANIFEST, Vintage, last_vintage, read_manifest
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
    # A run keeps the file for a wave: who asks is told at once who has it
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library, lock_timeout=2.0)
    rows = []
    with warehouse.session() as session:
        register = session.table("meta.delivery_file")
        current = register.filter(pl.col("status") == "current")
        waves = current.group_by("survey", "wave").agg(pl.len().alias("files"), pl.col("synthetic").any())
        new = _not_taken_in(settings, register)
        for row in waves.sort("wave", "survey").to_dicts():
            vintage = last_vintage(settings.published_dir, row["wave"])
            state = _state(session, library, settings, new, row["survey"], row["wave"], vintage)
            rows.append(row | {"state": state, "published": str(vintage) if vintage else None})
    return pl.DataFrame(rows, schema=columns)


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
