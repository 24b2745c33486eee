"""Replies into observations: places, values, statuses and vintages."""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import load_library
from pipelines.contracts.series import Series
from pipelines.errors import ViolationsError
from pipelines.intake.series.collect import fetch_series
from pipelines.intake.series.observations import benchmark_rows
from pipelines.intake.series.replies import Reply
from pipelines.intake.series.store import MANIFEST_NAME, store_reply, stored_replies

from .conftest import JSON_STAT, KOSIS, SDMX_1, SDMX_2

ROOT = Path(__file__).parents[4]
FACTS = ROOT.parent / "shared" / "facts" / "kr_ai_rate_benchmarks.csv"
EARLIER, LATER = (datetime(2026, 11, day, 10, 15, tzinfo=UTC) for day in (1, 29))


def kept(root: Path, series: Series, body: object, moment: datetime = EARLIER) -> bool:
    text = body if isinstance(body, str) else json.dumps(body)
    return store_reply(root, series, Reply("http://office/data", text.encode(), moment))[2]


def read(root: Path, series: Series) -> pl.DataFrame:
    return benchmark_rows({series.id: series}, root)


def faults(root: Path, series: Series, body: object) -> list[tuple[str, str]]:
    kept(root, series, body)
    with pytest.raises(ViolationsError) as caught:
        read(root, series)
    return [(fault.code, fault.got) for fault in caught.value.violations]


def changed(**keys: Any) -> dict[str, Any]:
    return copy.deepcopy(JSON_STAT) | keys


PLACES = ["measure", "geo", "size_class", "ref_year", "value", "obs_status", "obs_flag"]


def test_a_json_stat_reply(tmp_path: Path, json_stat: Series) -> None:
    kept(tmp_path, json_stat, JSON_STAT)
    assert read(tmp_path, json_stat).select(PLACES).rows() == [
        ("ai_adoption", "EU27_2020", "total", 2024, 0.1348, "A", None),
        ("ai_adoption", "EU27_2020", "total", 2025, 0.1995, "B", "b"),
        ("ai_adoption", "DK", "total", 2024, None, "M;U", "u"),
        ("ai_adoption", "DK", "total", 2025, 0.4203, "B;U", "bu"),
        ("ai_adoption", "EU27_2020", "250+", 2024, 0.4117, "A", None),
    ]


@pytest.mark.parametrize("body", [SDMX_1, SDMX_2])
def test_an_sdmx_csv_reply_of_either_version(tmp_path: Path, sdmx: Series, body: str) -> None:
    kept(tmp_path, sdmx, body)
    assert read(tmp_path, sdmx).select(PLACES).rows() == [
        ("ai_adoption", "EU27_2020", "total", 2024, 0.1348, "A", None),
        ("ai_adoption", "EU27_2020", "total", 2025, 0.1995, "B", "b"),
        ("ai_adoption", "DK", "250+", 2025, None, "M;C", "c"),
    ]


def test_a_kosis_reply(tmp_path: Path, kosis: Series) -> None:
    kept(tmp_path, kosis, KOSIS)
    rows = read(tmp_path, kosis)
    assert rows.select("geo", "industry", "ref_year", "value", "obs_status", "obs_flag").rows() == [
        ("KR", "total", 2023, 0.303, "A", None),
        ("KR", "total", 2024, 0.329, "A", None),
        ("KR", "K", 2024, None, "M;C", "x"),
    ]
    assert rows["size_class"].unique().to_list() == ["total"]


def test_a_value_revised_between_two_downloads_is_kept_in_both_vintages(tmp_path: Path, json_stat: Series) -> None:
    kept(tmp_path, json_stat, JSON_STAT, EARLIER)
    kept(tmp_path, json_stat, changed(value=JSON_STAT["value"] | {"1": 20.01}), LATER)
    rows = read(tmp_path, json_stat).filter(geo="EU27_2020", size_class="total", ref_year=2025)
    assert rows.select("value", "vintage", "is_latest").sort("vintage").rows() == [
        (0.1995, "2026-11-01T10:15:00.000000Z", False),
        (0.2001, "2026-11-29T10:15:00.000000Z", True),
    ]
    assert rows["file_sha256"].n_unique() == 2


def test_a_value_no_longer_there_is_the_latest_of_its_place(tmp_path: Path, json_stat: Series) -> None:
    kept(tmp_path, json_stat, JSON_STAT, EARLIER)
    kept(tmp_path, json_stat, changed(value={"1": 20.01}, status={}), LATER)
    rows = read(tmp_path, json_stat).filter(geo="DK", ref_year=2025)
    assert rows.select("vintage_kind", "is_latest").rows() == [("retrieved", True)]


def test_the_same_bytes_again_are_no_new_vintage(tmp_path: Path, json_stat: Series) -> None:
    assert kept(tmp_path, json_stat, JSON_STAT, EARLIER)
    assert not kept(tmp_path, json_stat, JSON_STAT, LATER)
    assert kept(tmp_path, json_stat, changed(value={"1": 1}), LATER)
    assert len(stored_replies(tmp_path, json_stat.id)) == 2


def test_a_damaged_reply_is_named(tmp_path: Path, json_stat: Series) -> None:
    kept(tmp_path, json_stat, JSON_STAT)
    [(folder, manifest)] = stored_replies(tmp_path, json_stat.id)
    (folder / manifest.file).write_text(json.dumps(changed(value={"1": 1})), encoding="utf-8")
    with pytest.raises(ViolationsError, match=r"reply_damaged[\s\S]*reply\.json[\s\S]*sha256"):
        read(tmp_path, json_stat)
    (folder / manifest.file).unlink()
    with pytest.raises(ViolationsError, match="no such file"):
        read(tmp_path, json_stat)
    (folder / MANIFEST_NAME).write_text("{}", encoding="utf-8")
    with pytest.raises(ViolationsError, match=r"reply_damaged[\s\S]*manifest"):
        read(tmp_path, json_stat)


def test_a_reply_half_written_is_not_seen(tmp_path: Path, json_stat: Series) -> None:
    (tmp_path / json_stat.id / ".half").mkdir(parents=True)
    (tmp_path / json_stat.id / ".half" / MANIFEST_NAME).write_text("{", encoding="utf-8")
    assert stored_replies(tmp_path, json_stat.id) == []


@pytest.mark.parametrize(
    ("body", "code", "got"),
    [
        (changed(value={"0": "many"}), "unreadable_value", "1 other(s): 'many'"),
        (changed(value={"0": 134.8}), "value_outside", "1.348"),
        (changed(status={"0": "z"}), "unknown_flag", "'z'"),
        (changed(size=[1, 1, 2, 1, 1, 1], value={"0": 1}, status={}), "not_json_stat", ""),
        ({"class": "dataset", "version": "1.0"}, "not_json_stat", "1.0"),
    ],
)
def test_what_the_contract_does_not_have(tmp_path: Path, json_stat: Series, body: object, code: str, got: str) -> None:
    ((found, said),) = faults(tmp_path, json_stat, body)
    assert found == code
    assert got in said


def renamed(dimension: str, old: str, new: str) -> dict[str, Any]:
    document = changed()
    index = document["dimension"][dimension]["category"]["index"]
    index[new] = index.pop(old)
    return document


@pytest.mark.parametrize(
    ("body", "code", "got"),
    [
        (renamed("unit", "PC_ENT", "PC_ALL"), "unknown_value", "1 other(s): 'PC_ALL'"),
        (renamed("size_emp", "GE250", "GE500"), "unknown_code", "1 other(s): 'GE500'"),
        (renamed("time", "2025", "2025-Q1"), "unreadable_year", "2 that are none"),
    ],
)
def test_codes_that_the_office_changed(tmp_path: Path, json_stat: Series, body: object, code: str, got: str) -> None:
    assert (code, got) in faults(tmp_path, json_stat, body)


def test_a_dimension_that_nobody_counts(tmp_path: Path, kosis: Series) -> None:
    """A reply with rows for each sex would give two values for one place."""
    ((code, got),) = faults(tmp_path, kosis, [*KOSIS, {**KOSIS[0], "C2": "women", "DT": "29.0"}])
    assert code == "repeated_observation"
    assert got.startswith("2 rows, e.g. ai_adoption / KR / total")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([{**KOSIS[0], "UNIT_NM": "개"}], "unknown_value"),
        ([{"C1": "00"}], "missing_column"),
        ([{"C1": {"a": "b"}}], "not_kosis"),
        ({"rows": []}, "not_kosis"),
        ([], "empty_file"),
        ("{", "not_json"),
    ],
)
def test_kosis_replies_that_are_no_rows(tmp_path: Path, kosis: Series, body: object, code: str) -> None:
    assert [found for found, _ in faults(tmp_path, kosis, body)] == [code]


def test_csv_that_is_not_sdmx(tmp_path: Path, sdmx: Series) -> None:
    assert [code for code, _ in faults(tmp_path, sdmx, "a,b\n1,2\n")] == ["not_sdmx_csv"]


def test_without_downloads_there_are_the_copied_figures(tmp_path: Path) -> None:
    library = load_library(ROOT / "data_contracts")
    rows = benchmark_rows(library.series, tmp_path / "none")
    contract = library.tables["core.benchmark"]
    assert set(rows.columns) == set(contract.column_names)
    assert dict(rows.schema) == dict(polars_schema(contract).items() & rows.schema.items())
    assert not rows.select(pl.struct(contract.key).is_duplicated().any()).item()
    for column in contract.columns:
        if column.required:
            assert rows[column.name].null_count() == 0, column.name
    assert rows["vintage_kind"].unique().to_list() == ["published"]
    public = rows.filter(compared_with="public").sort("value")
    assert public["value"].to_list() == [0.1875, 0.2625, 0.55]
    broken = rows.filter(series="nia_informatization", ref_year=2022)
    assert broken["obs_status"].unique().to_list() == ["B"]


@pytest.mark.skipif(not FACTS.is_file(), reason="the facts lie beside the checkout: ../shared/facts")
def test_the_copied_figures_are_those_of_the_facts() -> None:
    facts = pl.read_csv(FACTS, infer_schema=False)
    rows = benchmark_rows(load_library(ROOT / "data_contracts").series, Path("none"))
    told = sorted(
        round(float(rate) / 100, 6) if rate else float(population.split()[0])
        for rate, population in facts.select("rate_pct", "population").rows()
    )
    assert sorted(rows["value"]) == pytest.approx(told, abs=1e-9)
    assert sorted(rows["ref_year"].cast(pl.String)) == sorted(facts["ref_year"])


def test_fetched_read_and_kept(tmp_path: Path, office, json_stat: Series, kosis: Series) -> None:
    library = load_library(ROOT / "data_contracts")
    other = kosis.model_copy(update={"id": "other"})
    asked = replace(library, series={json_stat.id: json_stat, "other": other})
    office.says(JSON_STAT)
    good, bad = fetch_series(asked, tmp_path, {})
    assert (good.observations, good.new, good.error) == (5, True, None)
    assert bad.error is not None
    assert bad.error.code == "no_key"
    (again,) = fetch_series(asked, tmp_path, {}, names=[json_stat.id])
    assert not again.new
    office.replies.clear()
    office.says(changed(value={"0": 134.8}))
    (refused,) = fetch_series(asked, tmp_path, {}, names=[json_stat.id])
    assert refused.error is not None
    # What cannot be loaded is not kept
    assert len(stored_replies(tmp_path, json_stat.id)) == 1
    [(_, manifest)] = stored_replies(tmp_path, json_stat.id)
    assert manifest.url == f"{office.url}?unit=PC_ENT&geo=EU27_2020&geo=DK"
    with pytest.raises(ViolationsError, match="did you mean test_series"):
        fetch_series(asked, tmp_path, {}, names=["test_serie"])


def test_a_reply_handed_over_as_a_file(tmp_path: Path, kosis: Series) -> None:
    asked = replace(load_library(ROOT / "data_contracts"), series={kosis.id: kosis})
    file = tmp_path / "saved.json"
    file.write_text(json.dumps(KOSIS), encoding="utf-8")
    (told,) = fetch_series(asked, tmp_path / "home", {}, names=[kosis.id], file=file)
    assert (told.observations, told.error) == (3, None)
    [(_, manifest)] = stored_replies(tmp_path / "home", kosis.id)
    assert manifest.url is None
    file.write_text('{"err": "31", "errMsg": "조회결과 초과"}', encoding="utf-8")
    (told,) = fetch_series(asked, tmp_path / "home", {}, names=[kosis.id], file=file)
    assert "31: 조회결과 초과" in str(told)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXSTAT_HOME", str(tmp_path / "home"))
    file = tmp_path / "saved.json"
    document = changed(
        id=["freq", "size_emp", "indic_is", "unit", "geo", "time", "nace_r2"], size=[1, 2, 1, 1, 2, 2, 1]
    )
    document["dimension"]["nace_r2"] = {"category": {"index": ["C10-S951_X_K"]}}
    file.write_text(json.dumps(document), encoding="utf-8")
    made = CliRunner().invoke(app, ["benchmark", "eurostat_ai_size", "--file", str(file)])
    assert made.exit_code == 0, made.output
    assert "eurostat_ai_size: 5 observations, new vintage" in made.output
    rows = benchmark_rows(load_library(ROOT / "data_contracts").series, tmp_path / "home" / "benchmarks")
    fetched = rows.filter(series="eurostat_ai_size")
    assert fetched.select("industry", "size_class", "value").row(1) == ("total", "total", 0.1995)
    file.write_text('{"error": [{"status": 404, "label": "gone"}]}', encoding="utf-8")
    made = CliRunner().invoke(app, ["benchmark", "eurostat_ai_size", "--file", str(file)])
    assert made.exit_code == 1
    assert "404: gone" in made.output
    made = CliRunner().invoke(app, ["benchmark", "eurostat_size", "--file", str(file)])
    assert made.exit_code == 1
    assert "did you mean eurostat_ai_size?" in made.output
