"""The asset of deliveries: two waves of SPSS files, the second with a reworded question."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import polars as pl
import pyreadstat
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.assets.deliveries import delivery_assets
from pipelines.orchestration.partitions import wave_partitions
from pipelines.settings import Settings
from pipelines.synthetic.country import write_deliveries
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse

FIRST, SECOND = 2023, 2024
Deliver = Callable[..., dg.ExecuteInProcessResult]


def next_wave(folder: Path, labels: Mapping[str, str]) -> None:
    """Last year's delivery as this year's: other bytes, the same rows, some labels changed."""
    new = folder.with_name(f"industry-{SECOND}")
    shutil.copytree(folder, new)
    manifest = json.loads((new / "manifest.json").read_text("utf-8"))
    for entry in manifest["files"]:
        path = new / entry["file"]
        if path.suffix == ".sav":
            frame, meta = pyreadstat.read_sav(path, user_missing=True)
            texts = dict(zip(meta.column_names, meta.column_labels, strict=True))
            changed = texts | {name: label for name, label in labels.items() if name in texts}
            codes = meta.variable_value_labels
            pyreadstat.write_sav(frame, path, file_label="next", column_labels=changed, variable_value_labels=codes)
        else:
            pl.read_parquet(path).write_parquet(path, compression="gzip")
        entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    dates = {key: manifest[key].replace(str(FIRST), str(SECOND)) for key in ("collection_start", "collection_end")}
    manifest |= dates | {"wave": SECOND, "delivery": new.name}
    (new / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def warehouse(settings: Settings, library: ContractLibrary, catalogue: SqlCatalogue) -> Warehouse:
    return Warehouse(settings.warehouse_file, catalogue, library)


@pytest.fixture
def deliver(settings: Settings, library: ContractLibrary, warehouse: Warehouse) -> Deliver:
    write_deliveries(settings.home, library, seed=7, waves=(FIRST,), scale=0.02)
    settings.warehouse_file.parent.mkdir(parents=True, exist_ok=True)
    assets = delivery_assets(library.surveys["industry"], wave_partitions(2021))

    def run(wave: int) -> dg.ExecuteInProcessResult:
        resources = {"settings": settings, "library": library, "warehouse": warehouse}
        return dg.materialize(assets, partition_key=str(wave), resources=resources)

    return run


def test_a_reworded_question_warns_and_does_not_stop_the_wave(
    deliver: Deliver, settings: Settings, warehouse: Warehouse
) -> None:
    first = deliver(FIRST)
    [check] = first.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == ("codebook", True, False)

    reworded = "생성형 AI를 업무에 이용하는 단계"
    next_wave(settings.deliveries_dir / f"industry-{FIRST}", {"STG_GENAI": reworded})
    second = deliver(SECOND)
    assert second.success
    [check] = second.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "[question_changed]" in str(check.description)
    assert "STG_GENAI" in str(check.description)
    assert f"as industry {FIRST}" in str(check.description)
    assert "question_versions.yaml" in str(check.description)

    pages = sorted(path.name for path in settings.codebook_reports_dir.iterdir())
    assert pages == [f"industry-{wave}.{language}.html" for wave in (FIRST, SECOND) for language in ("en", "ko")]
    page = (settings.codebook_reports_dir / f"industry-{SECOND}.ko.html").read_text("utf-8")
    assert "<ins>" in page
    assert "시계열이 단절됩니까" in page
    [event] = second.get_asset_materialization_events()
    assert "question_changed" in str(event.materialization.metadata["codebooks"].value)

    # A second run of the wave compares with the wave before, not with itself, and stores each variable once
    deliver(SECOND)
    with warehouse.session() as session:
        stored = session.table("raw.codebook", where={"contract": "industry_response"})
    assert set(stored["wave"]) == {FIRST, SECOND}
    texts = stored.filter(pl.col("variable") == "STG_GENAI").group_by("wave").agg(pl.col("text").first(), pl.len())
    by_wave = {row["wave"]: row for row in texts.to_dicts()}
    assert by_wave[SECOND]["text"] == reworded
    assert by_wave[FIRST]["text"] != reworded
    assert by_wave[FIRST]["len"] == by_wave[SECOND]["len"] == 7
    assert set(stored["question_version"]) == {"list-2022"}
