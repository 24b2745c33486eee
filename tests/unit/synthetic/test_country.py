import hashlib
import json
from pathlib import Path

import jsonschema
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.errors import AxstatError
from pipelines.settings import load_settings
from pipelines.synthetic.country import WAVES, Truth, synthesise, write_deliveries


def _contents(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def test_deliveries_and_their_manifests(truth: Truth, home: Path, library: ContractLibrary) -> None:
    names = sorted(folder.name for folder in (home / "deliveries").iterdir())
    assert names == sorted(f"{survey}-{wave}" for survey in ("industry", "public") for wave in WAVES)
    assert sorted(folder.name for folder in truth.folders) == names
    for name in names:
        folder = home / "deliveries" / name
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        jsonschema.validate(manifest, dict(library.manifest_schema))
        survey = library.surveys[manifest["survey"]]
        assert manifest["delivery"] == name == f"{survey.survey}-{manifest['wave']}"
        assert manifest["synthetic"] is True
        assert manifest["sequence"] == 1
        assert manifest["question_version"] == survey.question_version(manifest["wave"])
        assert [entry["contract"] for entry in manifest["files"]] == [
            survey.contracts.response,
            survey.contracts.sample,
            survey.contracts.frame,
        ]
        assert {entry["file"] for entry in manifest["files"]} | {"manifest.json"} == {
            path.name for path in folder.iterdir()
        }
        for entry in manifest["files"]:
            assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]


def test_what_is_recorded_agrees_with_the_files(truth: Truth, home: Path) -> None:
    summary = truth.fieldwork
    assert summary.height == 10
    parts = ["respondents", "eligible_nonrespondents", "unknown_eligibility", "out_of_scope"]
    assert (summary.select(pl.sum_horizontal(parts)).to_series() == summary["selected"]).all()
    for row in summary.iter_rows(named=True):
        folder = home / "deliveries" / f"{row['survey']}-{row['wave']}"
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        rows = [entry["rows"] for entry in manifest["files"]]
        assert rows == [row["response_rows"], row["selected"], row["frame"]]
        # One unit that answered is there twice.
        assert row["response_rows"] == row["respondents"] + 1
        assert row["bad_rows"] <= 10
    rates = {
        (row["survey"], row["wave"]): row["respondents"] / (row["respondents"] + row["eligible_nonrespondents"])
        for row in summary.iter_rows(named=True)
    }
    assert all(0.6 < share < 0.9 for share in rates.values())


def test_truth_is_kept_apart(truth: Truth, home: Path) -> None:
    folder = home / "synthetic_truth"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bad_rows.parquet",
        "fieldwork.parquet",
        "rates.parquet",
    ]
    assert pl.read_parquet(folder / "rates.parquet").equals(truth.rates)
    assert pl.read_parquet(folder / "bad_rows.parquet").equals(truth.bad_rows)
    assert not [path for path in (home / "deliveries").rglob("*") if "truth" in path.name]
    totals = truth.rates.filter(domain_type="total", measure="ai_adoption", unit_weighting="unit").sort(
        "survey", "wave"
    )
    assert totals.height == 10


def test_same_seed_same_bytes(
    truth: Truth, home: Path, library: ContractLibrary, tmp_path: Path, seed: int, scale: float
) -> None:
    lines: list[str] = []
    write_deliveries(tmp_path, library, seed=seed, scale=scale, progress=lines.append)
    assert _contents(tmp_path) == _contents(home)
    assert len(lines) == 10
    assert lines[0].startswith("industry-2021: frame 4,143, sample ")
    assert lines[0].endswith("of which 7 bad rows")


def test_a_wave_alone_is_the_same_wave(
    truth: Truth, home: Path, library: ContractLibrary, tmp_path: Path, seed: int, scale: float
) -> None:
    write_deliveries(tmp_path, library, seed=seed, scale=scale, waves=[2023])
    alone = {name: digest for name, digest in _contents(tmp_path).items() if name.startswith("deliveries")}
    together = {name: digest for name, digest in _contents(home).items() if "-2023/" in name}
    assert alone == together
    assert len(alone) == 8


def test_another_seed_another_country(
    truth: Truth, library: ContractLibrary, tmp_path: Path, seed: int, scale: float
) -> None:
    other = write_deliveries(tmp_path, library, seed=seed + 1, scale=scale, waves=[2021])
    mine = truth.fieldwork.filter(pl.col("wave") == 2021)
    assert other.fieldwork["response_rows"].to_list() != mine["response_rows"].to_list()


def test_synthetic_deliveries_are_replaced(library: ContractLibrary, tmp_path: Path, scale: float) -> None:
    write_deliveries(tmp_path, library, seed=1, scale=scale, waves=[2021])
    before = _contents(tmp_path)
    write_deliveries(tmp_path, library, seed=2, scale=scale, waves=[2021])
    after = _contents(tmp_path)
    assert set(after) == set(before)
    assert after["deliveries/industry-2021/manifest.json"] != before["deliveries/industry-2021/manifest.json"]


@pytest.mark.parametrize("content", [None, '{"synthetic": false}', "{}"])
def test_real_deliveries_are_never_overwritten(
    library: ContractLibrary, tmp_path: Path, content: str | None, scale: float
) -> None:
    folder = tmp_path / "deliveries" / "public-2022"
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text("real", encoding="utf-8")
    if content is not None:
        (folder / "manifest.json").write_text(content, encoding="utf-8")
    before = _contents(tmp_path)
    with pytest.raises(AxstatError) as caught:
        write_deliveries(tmp_path, library, scale=scale)
    assert caught.value.code == "synthetic_over_real"
    assert "public-2022" in caught.value.where
    assert _contents(tmp_path) == before


@pytest.mark.parametrize(
    ("waves", "scale", "code"),
    [
        ([2020, 2021], 0.02, "synthetic_waves"),
        ([], 0.02, "synthetic_waves"),
        ([2021], 0.0, "synthetic_scale"),
        ([2021], 1.5, "synthetic_scale"),
    ],
)
def test_what_the_country_does_not_have(
    library: ContractLibrary, tmp_path: Path, waves: list[int], scale: float, code: str
) -> None:
    with pytest.raises(AxstatError) as caught:
        write_deliveries(tmp_path, library, waves=waves, scale=scale)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_synthesise_leaves_a_filled_home_alone(tmp_path: Path, seed: int, scale: float) -> None:
    settings = load_settings({"AXSTAT_HOME": str(tmp_path)})
    lines: list[str] = []
    made = synthesise(settings, seed=seed, scale=scale, only_if_empty=True, say=lines.append)
    assert made is not None
    assert len(lines) == 10
    before = _contents(tmp_path)
    assert synthesise(settings, seed=seed + 1, scale=scale, only_if_empty=True, say=lines.append) is None
    assert "no synthetic ones written" in lines[-1]
    assert _contents(tmp_path) == before
