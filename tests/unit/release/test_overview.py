import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.release.overview import delivery_states, latest_database, overview, releases, stale_waves
from pipelines.settings import Settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import STEPS, fingerprints, record_step
from tests.unit.reporting.made_up import made_up_report


@pytest.fixture
def warehouse(settings: Settings, library: ContractLibrary) -> Warehouse:
    """Deliveries of both surveys, waves 2021 to 2025, and no step built from them."""
    warehouse = Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), library)
    deliveries = made_up_report().deliveries.with_columns(pl.col("wave", "sequence").cast(pl.Int32))
    with warehouse.session() as session:
        session.append("meta.delivery_file", deliveries)
    return warehouse


def build(warehouse: Warehouse, library: ContractLibrary, steps: tuple[str, ...], *, survey: str, wave: int) -> None:
    with warehouse.session() as session:
        for step in steps:
            record_step(session, library, survey=survey, wave=wave, step=step)


def test_an_empty_home_has_no_rows_and_stays_empty(settings: Settings) -> None:
    table = overview(settings)
    assert table.is_empty()
    assert table.columns == ["survey", "wave", "files", "synthetic", "state", "published"]
    assert not settings.home.exists()


@pytest.mark.usefixtures("warehouse")
def test_waves_come_in_order_with_their_files(settings: Settings) -> None:
    table = overview(settings)
    assert table.select("wave", "survey").rows() == [
        (wave, survey) for wave in range(2021, 2026) for survey in ("industry", "public")
    ]
    assert table["files"].unique().to_list() == [3]
    assert table["synthetic"].all()
    assert table["published"].null_count() == table.height


def test_the_state_names_what_is_missing(settings: Settings, warehouse: Warehouse, library: ContractLibrary) -> None:
    build(warehouse, library, STEPS, survey="industry", wave=2021)
    build(warehouse, library, STEPS[:1], survey="public", wave=2021)
    states = overview(settings).filter(pl.col("wave") <= 2022).select("survey", "wave", "state").rows()
    assert states == [
        ("industry", 2021, "whole"),
        ("public", 2021, f"to run: {', '.join(STEPS[1:])}"),
        ("industry", 2022, f"to run: {', '.join(STEPS)}"),
        ("public", 2022, f"to run: {', '.join(STEPS)}"),
    ]


def test_a_correction_makes_a_wave_old(settings: Settings, warehouse: Warehouse, library: ContractLibrary) -> None:
    build(warehouse, library, STEPS, survey="industry", wave=2021)
    with warehouse.session() as session:
        wave = {"survey": "industry", "wave": 2021}
        corrected = session.table("meta.delivery_file", where=wave).with_columns(
            pl.when(pl.col("contract") == "industry_response")
            .then(pl.lit("f" * 64))
            .otherwise("file_sha256")
            .alias("file_sha256")
        )
        session.replace("meta.delivery_file", corrected, where=wave)
    assert overview(settings).row(0, named=True)["state"] == f"to run: {', '.join(STEPS)}"


def sent(settings: Settings, delivery: str, *, wave: int) -> None:
    """A delivery in the folder, of which only the manifest matters here."""
    folder = settings.deliveries_dir / delivery
    folder.mkdir(parents=True)
    content = {
        "delivery": delivery, "survey": "industry", "wave": wave, "sequence": 2, "question_version": "list-2022",
        "tech_list_version": "1", "collection_start": f"{wave}-09-01", "collection_end": f"{wave}-10-31",
        "sender": "s", "synthetic": True,
        "files": [{"file": "a.csv", "contract": "industry_response", "sha256": "0" * 64, "rows": 1}],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def released(settings: Settings, warehouse: Warehouse, library: ContractLibrary, wave: int) -> None:
    """The first release of a wave, which says what it rests on."""
    with warehouse.session() as session:
        rests_on = {name: fingerprints(session, library, survey=name, upto=wave) for name in library.surveys}
    folder = settings.published_dir / f"{wave}.1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"rests_on": rests_on}), encoding="utf-8")


def test_a_delivery_that_was_not_read_makes_later_releases_stale(
    settings: Settings, warehouse: Warehouse, library: ContractLibrary
) -> None:
    for wave in (2021, 2022, 2023):
        for survey in library.surveys:
            build(warehouse, library, STEPS, survey=survey, wave=wave)
    released(settings, warehouse, library, 2022)
    whole = overview(settings).filter(pl.col("wave") <= 2023)
    assert set(whole["state"]) == {"whole"}
    sent(settings, "industry-2021-2", wave=2021)
    states = dict(overview(settings).select(pl.format("{} {}", "survey", "wave"), "state").iter_rows())
    assert states["industry 2021"] == "to run: new delivery industry-2021-2"
    assert states["public 2021"] == "whole"
    assert states["industry 2022"] == states["public 2022"] == "stale: industry 2021 changed since 2022.1"
    assert states["public 2023"] == "stale: industry 2021 changed"
    assert stale_waves(overview(settings)) == [2022]


def test_a_wave_that_was_run_again_makes_later_releases_stale(
    settings: Settings, warehouse: Warehouse, library: ContractLibrary
) -> None:
    for wave in (2021, 2022):
        build(warehouse, library, STEPS, survey="public", wave=wave)
    released(settings, warehouse, library, 2022)
    with warehouse.session() as session:
        wave = {"survey": "public", "wave": 2021}
        corrected = session.table("meta.delivery_file", where=wave).with_columns(pl.lit("f" * 64).alias("file_sha256"))
        session.replace("meta.delivery_file", corrected, where=wave)
    build(warehouse, library, STEPS, survey="public", wave=2021)
    states = dict(overview(settings).filter(survey="public").select("wave", "state").iter_rows())
    assert (states[2021], states[2022]) == ("whole", "stale: public 2021 changed since 2022.1")


@pytest.mark.usefixtures("warehouse")
def test_the_newest_vintage_of_each_wave(settings: Settings) -> None:
    for name in ("2021.1", "2021.2", "2023.1"):
        (settings.published_dir / name).mkdir(parents=True)
    table = overview(settings).filter(pl.col("survey") == "public").select("wave", "published")
    assert dict(table.iter_rows()) == {2021: "2021.2", 2022: None, 2023: "2023.1", 2024: None, 2025: None}


def test_the_latest_file_is_found_by_the_link(settings: Settings) -> None:
    with pytest.raises(AxstatError, match=r"(?s)nothing_published.*axstat run --all"):
        latest_database(settings)
    release: Path = settings.published_dir / "2021.1"
    release.mkdir(parents=True)
    (release / "axstat.duckdb").write_bytes(b"")
    (settings.published_dir / "latest").symlink_to("2021.1", target_is_directory=True)
    assert latest_database(settings).resolve() == release / "axstat.duckdb"


def deliver(settings: Settings, name: str, **keys: object) -> None:
    folder = settings.deliveries_dir / name
    folder.mkdir(parents=True)
    sent = {"file": "a.csv", "contract": "industry_response", "sha256": "0" * 64, "rows": 1}
    manifest = {
        "delivery": name, "survey": "industry", "wave": 2025, "sequence": 1, "question_version": "list-2022",
        "tech_list_version": "1", "collection_start": "2025-09-01", "collection_end": "2025-10-31",
        "sender": "contractor", "synthetic": True, "files": [sent], **keys,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_deliveries_say_what_became_of_them(settings: Settings, warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        register = session.table("meta.delivery_file")
        first, second, *_ = register["delivery"].unique(maintain_order=True)
        refused = pl.when(pl.col("delivery") == second)
        changed = register.with_columns(
            refused.then(pl.lit("rejected")).otherwise("status").alias("status"),
            refused.then(pl.lit("hash_differs")).otherwise("reason").alias("reason"),
        )
        session.replace("meta.delivery_file", changed, where={})
    deliver(settings, first)
    deliver(settings, second, sequence=2)
    deliver(settings, "sent-today", sequence=3)
    (settings.deliveries_dir / "broken").mkdir()
    (settings.deliveries_dir / "broken" / "manifest.json").write_text("{", encoding="utf-8")
    found = {row["delivery"]: (row["state"], row["why"]) for row in delivery_states(settings).to_dicts()}
    assert found.pop(first) == ("taken in", None)
    assert found.pop(second) == ("rejected", "hash_differs")
    assert found.pop("sent-today") == ("new", None)
    [(where, (state, _))] = found.items()
    assert "broken" in where
    assert state == "not readable"


def test_deliveries_are_seen_before_there_is_a_warehouse(settings: Settings) -> None:
    deliver(settings, "sent-today")
    assert delivery_states(settings).rows() == [("sent-today", "industry", 2025, 1, "new", None)]
    assert not settings.warehouse_file.exists()


def test_releases_come_in_order_with_the_one_that_latest_names(settings: Settings) -> None:
    assert releases(settings).is_empty()
    for name in ("2024.1", "2025.2", "2025.10"):
        folder = settings.published_dir / name
        folder.mkdir(parents=True)
        manifest = {"synthetic": name != "2024.1", "files": {"a": "0", "b": "0"}}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (settings.published_dir / "latest").symlink_to("2025.10")
    assert releases(settings).rows() == [
        ("2024.1", 2024, False, 2, False),
        ("2025.2", 2025, True, 2, False),
        ("2025.10", 2025, True, 2, True),
    ]
