"""Deliveries as they should not be: a clear error or a quarantined row, and never half a wave."""

import csv
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.orchestration.build import build_definitions
from pipelines.orchestration.jobs import WAVE_JOB
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.steps import OWN_STEPS

pytestmark = pytest.mark.xdist_group("country")


@pytest.fixture
def home(country, tmp_path: Path) -> Settings:
    """A copy of the country after all its waves ran."""
    shutil.copytree(country.settings.home, tmp_path / "home", symlinks=True)
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


def warehouse(settings: Settings) -> Warehouse:
    return Warehouse(settings.warehouse_file, SqlCatalogue(settings.sql_dir), load_library(settings.contracts_dir))


def tables(settings: Settings, *names: str) -> list[pl.DataFrame]:
    with warehouse(settings).session() as session:
        return [session.table(name) for name in names]


def delivered(settings: Settings, contract: str = "industry_response") -> tuple[Path, dict]:
    manifest = settings.deliveries_dir / "industry-2021" / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    [entry] = [one for one in content["files"] if one["contract"] == contract]
    return manifest.parent / entry["file"], content


def correction(settings: Settings, data: bytes, rows: int, contract: str = "industry_response") -> None:
    """A second delivery of wave 2021 that corrects one file of the enterprises."""
    path, content = delivered(settings, contract)
    [entry] = [one for one in content["files"] if one["contract"] == contract]
    folder = settings.deliveries_dir / "industry-2021-2"
    folder.mkdir()
    (folder / path.name).write_bytes(data)
    content |= {
        "delivery": "industry-2021-2",
        "sequence": 2,
        "files": [entry | {"sha256": hashlib.sha256(data).hexdigest(), "rows": rows}],
    }
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_damaged_file_stops_the_wave_and_leaves_everything_as_it_was(home: Settings, rerun: Callable) -> None:
    kept = ("core.weights", "core.unit_measure", "estimates.adoption_rate", "mart.adoption_rate")
    before = tables(home, *kept)
    path, _ = delivered(home)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(AxstatError) as caught:
        rerun(home, [2021])
    message = str(caught.value)
    assert "hash_differs" in message
    assert path.name in message
    assert "to do" in message
    assert "Traceback" not in message
    for old, new in zip(before, tables(home, *kept), strict=True):
        assert old.equals(new)
    assert not (home.published_dir / "2021.2").exists()
    assert not list(home.published_dir.glob(".building*"))


def test_a_wave_whose_baseline_is_broken_is_refused(home: Settings, rerun: Callable) -> None:
    with warehouse(home).session() as session:
        session.delete("meta.step", where={"survey": "public", "wave": 2022, "step": OWN_STEPS[-1]})
    with pytest.raises(AxstatError, match=r"axstat run --wave 2022"):
        rerun(home, [2023])


def test_the_same_delivery_twice_changes_nothing(home: Settings, rerun: Callable) -> None:
    path, _ = delivered(home)
    data = path.read_bytes()
    before = tables(home, "core.unit_measure")
    correction(home, data, rows=int(data.count(b"\n")) - 1)
    rerun(home, [2021])
    after = tables(home, "core.unit_measure")
    assert before[0].equals(after[0])


def test_a_corrected_delivery_replaces_the_earlier_and_the_counts_balance(home: Settings, rerun: Callable) -> None:
    path, _ = delivered(home)
    lines = path.read_bytes().splitlines(keepends=True)
    correction(home, b"".join(lines[:-40]), rows=len(lines) - 41)
    [again] = rerun(home, [2021])
    assert (again.release, again.new) == ("2021.2", True)
    [balance] = tables(home, "meta.row_balance")
    [row] = balance.filter(pl.col("wave") == 2021, pl.col("contract") == "industry_response").to_dicts()
    assert row["superseded"] == len(lines) - 1
    assert row["rows_in"] == row["core"] + row["quarantined"] + row["rejected"] + row["superseded"]
    assert (home.published_dir / "2021.1" / "manifest.json").is_file()
    assert (home.published_dir / "latest").readlink().name == "2023.1"
    [status] = tables(home, "meta.delivery_file")
    of_file = status.filter(pl.col("wave") == 2021, pl.col("contract") == "industry_response").sort("sequence")
    assert of_file["status"].to_list() == ["superseded", "current"]


def test_a_file_sent_again_under_its_name_replaces_its_rows(home: Settings, rerun: Callable) -> None:
    path, content = delivered(home, "business_frame")
    [entry] = [one for one in content["files"] if one["contract"] == "business_frame"]
    with path.open(encoding="cp949", newline="") as stream:
        header, *rows = csv.reader(stream)
    [sample] = tables(home, "core.sample")
    selected = set(sample["unit_id"])
    number = header.index("사업자등록번호")
    rows.remove(next(row for row in rows if row[number].replace("-", "") not in selected))
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    data = text.getvalue().encode("cp949")
    path.write_bytes(data)
    entry |= {"sha256": hashlib.sha256(data).hexdigest(), "rows": len(rows)}
    (path.parent / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    rerun(home, [2021])
    [frame] = tables(home, "core.frame")
    assert frame.filter(pl.col("wave") == 2021, pl.col("survey") == "industry").height == len(rows)


def test_a_frame_row_that_cannot_be_read_is_set_aside_with_its_reason(home: Settings, rerun: Callable) -> None:
    path, _ = delivered(home, "business_frame")
    with path.open(encoding="cp949", newline="") as stream:
        header, *rows = csv.reader(stream)
    rows[4][header.index("종사자수")] = "많음"
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    correction(home, text.getvalue().encode("cp949"), rows=len(rows), contract="business_frame")
    rerun(home, [2021])
    [quarantine] = tables(home, "raw.quarantine")
    [row] = quarantine.filter(
        pl.col("wave") == 2021, pl.col("contract") == "business_frame", pl.col("row_number") == 5
    ).to_dicts()
    assert "많음" in row["reasons"][0]


def test_no_deliveries_says_what_to_do(tmp_path: Path, rerun: Callable) -> None:
    with pytest.raises(AxstatError, match="axstat synth"):
        rerun(load_settings({"AXSTAT_HOME": str(tmp_path)}), None)


def test_a_manifest_that_cannot_be_read_stops_its_own_wave_and_a_command_but_no_other_wave(
    home: Settings, rerun: Callable
) -> None:
    unplaced = home.deliveries_dir / "unplaced"
    unplaced.mkdir()
    (unplaced / "manifest.json").write_text("{")
    broken = home.deliveries_dir / "industry-2022" / "manifest.json"
    broken.write_text(json.dumps(json.loads(broken.read_text(encoding="utf-8")) | {"sequence": 0}))
    with pytest.raises(AxstatError) as caught:
        rerun(home, [2021])
    assert "unplaced/manifest.json" in str(caught.value)
    assert "industry-2022/manifest.json" in str(caught.value)
    job = build_definitions(home).resolve_job_def(WAVE_JOB)
    asset = [dg.AssetKey(["industry", "deliveries"])]
    with dg.DagsterInstance.ephemeral() as instance:
        run = partial(job.execute_in_process, asset_selection=asset, instance=instance, raise_on_error=False)
        done = run(partition_key="2021")
        assert done.success
        warned = [entry.user_message for entry in instance.all_logs(done.run_id) if entry.level == logging.WARNING]
        assert any("unplaced/manifest.json" in message for message in warned)
        assert not run(partition_key="2022").success


def edit_file(home: Settings, name: str, *edits: dict) -> None:
    folder = home.edits_dir / "industry-2021"
    folder.mkdir(parents=True, exist_ok=True)
    base = {"contract": "industry_response", "who": "Kim", "why": "callback"}
    text = io.StringIO()
    writer = csv.DictWriter(text, ["contract", "file_sha256", "row", "column", "old", "new", "who", "why"])
    writer.writeheader()
    writer.writerows(base | edit for edit in edits)
    (folder / name).write_text(text.getvalue(), encoding="utf-8")


def edits_counted(home: Settings) -> dict[str, float]:
    [indicators] = tables(home, "mart.quality_indicator")
    of_wave = indicators.filter(
        pl.col("survey") == "industry", pl.col("wave") == 2021, pl.col("indicator").str.starts_with("EDIT")
    )
    return dict(of_wave.select("indicator", "value").iter_rows())


def test_a_row_in_quarantine_is_corrected_by_an_edit_file(home: Settings, rerun: Callable) -> None:
    quarantine, raw = tables(home, "raw.quarantine", "raw.industry_response")
    held = quarantine.filter(pl.col("wave") == 2021, pl.col("contract") == "industry_response")
    [row] = held.filter(pl.col("rules").list.contains("region_known_code")).to_dicts()
    sha256, number = row["file_sha256"], row["row_number"]
    cell = {"file_sha256": sha256, "row": number, "column": "region", "old": "77"}
    edit_file(home, "001.csv", cell | {"new": "11"}, {**cell, "row": 1, "column": "employees", "old": "-1", "new": "5"})
    [again] = rerun(home, [2021])
    assert again.new
    log, after, remaining, balance, answers = tables(
        home, "raw.edit", "raw.industry_response", "raw.quarantine", "meta.row_balance", "staging.industry_response"
    )
    assert log.select("status", "reason").rows() == [("applied", None), ("rejected", "old is not what was sent")]
    assert after.equals(raw)
    assert number not in remaining.filter(pl.col("file_sha256") == sha256)["row_number"]
    corrected = answers.filter(pl.col("file_sha256") == sha256, pl.col("row_number") == number)
    assert corrected["region"].to_list() == ["11"]
    [count] = balance.filter(pl.col("wave") == 2021, pl.col("contract") == "industry_response").to_dicts()
    assert count["rows_in"] == count["core"] + count["quarantined"]
    assert count["quarantined"] == held.height - 1
    assert edits_counted(home) == {
        "EDIT": 1.0, "EDIT_sender": 0.0, "EDIT_callback": 1.0, "EDIT_register": 0.0, "EDIT_transcription": 0.0
    }  # fmt: skip
    manifest = (home.published_dir / again.release / "manifest.json").read_text(encoding="utf-8")
    assert "Kim" not in manifest
    assert (home.edits_dir / "industry-2021" / "001.csv").stat().st_mode & 0o077 == 0

    edit_file(home, "001.csv", cell | {"new": "26"})
    with pytest.raises(AxstatError, match="edit_file_changed"):
        rerun(home, [2021])


def test_a_later_delivery_makes_edits_stale(home: Settings, rerun: Callable) -> None:
    path, content = delivered(home)
    [entry] = [one for one in content["files"] if one["contract"] == "industry_response"]
    [raw] = tables(home, "raw.industry_response")
    sent = raw.filter(pl.col("file_sha256") == entry["sha256"], pl.col("row_number") == 1)["region"].item()
    cell = {"file_sha256": entry["sha256"], "row": 1, "column": "region", "old": sent}
    edit_file(home, "001.csv", cell | {"new": "26" if sent != "26" else "11"})
    rerun(home, [2021])
    assert edits_counted(home)["EDIT"] == 1.0
    lines = path.read_bytes().splitlines(keepends=True)
    correction(home, b"".join(lines[:-1]), rows=len(lines) - 2)
    rerun(home, [2021])
    log, edited = tables(home, "raw.edit", "raw.edited_industry_response")
    assert log["status"].to_list() == ["stale"]
    assert edited.is_empty()
    assert edits_counted(home)["EDIT"] == 0.0


def test_answers_of_another_sample_are_refused_as_a_whole(home: Settings, rerun: Callable) -> None:
    path, content = delivered(home)
    [entry] = [one for one in content["files"] if one["contract"] == "industry_response"]
    before = tables(home, "core.units")
    with path.open(encoding="cp949", newline="") as stream:
        header, *rows = csv.reader(stream)
    number = header.index("사업자등록번호")
    for place, row in enumerate(rows):
        row[number] = f"999{place:07}"
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    correction(home, text.getvalue().encode("cp949"), rows=len(rows))
    with pytest.raises(AxstatError) as caught:
        rerun(home, [2021])
    assert "[not_selected] industry-2021-2/" in str(caught.value)
    assert f"{len(rows)} of {len(rows)} rows" in str(caught.value)
    register, *after = tables(home, "meta.delivery_file", "core.units")
    of_file = register.filter(pl.col("delivery") == "industry-2021-2")
    assert of_file.select("status", "reason").rows() == [("rejected", "not_on_frame, not_selected")]
    assert after[0].equals(before[0])
    assert entry["sha256"] != of_file["file_sha256"].item()
