"""A corrected wave makes the later ones stale; they are released anew with the cause, and no others are."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.contracts.library import load_library
from pipelines.errors import AxstatError
from pipelines.release.difference import compare_releases
from pipelines.release.overview import overview, stale_waves
from pipelines.release.reading import read_built
from pipelines.release.vintages import vintages
from pipelines.settings import Settings, load_settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("country")]

CORRECTED = 2022


@pytest.fixture
def home(country, tmp_path: Path) -> Settings:
    """A copy of the country after all its waves ran."""
    shutil.copytree(country.settings.home, tmp_path / "home", symlinks=True)
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


def correct(settings: Settings, *, rows_less: int) -> None:
    """A second delivery of the institutions' answers, without the last rows."""
    first = settings.deliveries_dir / f"public-{CORRECTED}"
    content = json.loads((first / "manifest.json").read_text(encoding="utf-8"))
    [entry] = [one for one in content["files"] if one["contract"] == "public_response"]
    lines = (first / entry["file"]).read_bytes().splitlines(keepends=True)[:-rows_less]
    folder = settings.deliveries_dir / f"public-{CORRECTED}-2"
    folder.mkdir()
    data = b"".join(lines)
    (folder / entry["file"]).write_bytes(data)
    sent = entry | {"sha256": hashlib.sha256(data).hexdigest(), "rows": entry["rows"] - rows_less}
    content |= {"delivery": folder.name, "sequence": 2, "files": [sent]}
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def states(settings: Settings) -> dict[tuple[str, int], str]:
    return {
        (survey, wave): state for survey, wave, state in overview(settings).select("survey", "wave", "state").rows()
    }


def test_a_correction_makes_new_releases_of_its_wave_and_the_later_ones(home: Settings, rerun: Callable) -> None:
    assert set(states(home).values()) == {"whole"}
    correct(home, rows_less=20)
    told = states(home)
    assert told["industry", 2021] == told["public", 2021] == "whole"
    assert told["public", 2022] == "to run: new delivery public-2022-2"
    assert told["industry", 2023] == told["public", 2023] == "stale: public 2022 changed since 2023.1"

    [run] = rerun(home, [CORRECTED])
    assert (run.release, run.new) == ("2022.2", True)
    assert stale_waves(overview(home)) == [2023]
    assert states(home)["industry", 2023] == "stale: public 2022 changed since 2023.1"
    with pytest.raises(AxstatError, match=r"(?s)wave_not_whole.*public 2023: marts.*axstat run --wave 2023"):
        read_built(home, 2023)

    runs = rerun(home, None)
    assert [(run.release, run.new) for run in runs] == [("2021.1", False), ("2022.2", False), ("2023.2", True)]
    assert [str(one) for one in vintages(home.published_dir)] == ["2021.1", "2022.1", "2022.2", "2023.1", "2023.2"]
    assert set(states(home).values()) == {"whole"}
    cause = {
        "cause": "delivery", "survey": "public", "wave": 2022, "what": "public_response",
        "before": "public-2022", "after": "public-2022-2",
    }  # fmt: skip
    for run in (home.published_dir / "2022.2", home.published_dir / "2023.2"):
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["because"] == [cause]
    first = json.loads((home.published_dir / "2023.1" / "manifest.json").read_text(encoding="utf-8"))
    assert first["because"] == []

    found = compare_releases(home.published_dir, "2023.1", "2023.2", load_library(home.contracts_dir))
    assert [(one.cause, one.after) for one in found.causes] == [("delivery", "public-2022-2")]
    rates = found.cells.filter(pl.col("table") == "mart.adoption_rate")
    assert rates.height > 0
    # Enterprises and the waves that were not corrected are as they were
    assert rates.filter(~pl.col("key").str.starts_with("survey=public, wave=2022")).is_empty()
    assert "public_response of public-2022-2, in place of public-2022" in found.told()


def test_running_a_later_wave_over_a_stale_one_is_refused(home: Settings, rerun: Callable) -> None:
    """2023 rests on marts of 2022 that were made before 2021, which 2022 publishes, was corrected."""
    folder = home.deliveries_dir / "public-2021"
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    [entry] = [one for one in content["files"] if one["contract"] == "public_sample"]
    again = home.deliveries_dir / "public-2021-2"
    again.mkdir()
    # The same rows in another file: another hash is enough
    data = (folder / entry["file"]).read_bytes()
    data = data.replace(b"\n", b"\r\n") if b"\r\n" not in data else data.replace(b"\r\n", b"\n")
    (again / entry["file"]).write_bytes(data)
    sent = entry | {"sha256": hashlib.sha256(data).hexdigest()}
    content |= {"delivery": again.name, "sequence": 2, "files": [sent]}
    (again / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    rerun(home, [2021])
    with pytest.raises(AxstatError, match=r"(?s)public 2022: marts.*axstat run --all"):
        rerun(home, [2023])
    assert not (home.published_dir / "2023.2").exists()


def test_a_wave_that_runs_before_its_moment_is_built_and_held(home: Settings, rerun: Callable, tmp_path: Path) -> None:
    contracts = tmp_path / "data_contracts"
    shutil.copytree(home.contracts_dir, contracts)
    calendar = contracts / "release_calendar.yaml"
    text = calendar.read_text(encoding="utf-8").replace("2021: 2021-12-15", "2021: 2999-12-15")
    text, versions = re.subn(r"^version: \S+$", "version: 9.0.0", text, flags=re.MULTILINE)
    assert versions == 1
    calendar.write_text(text, encoding="utf-8")
    [run] = rerun(replace(home, contracts_dir=contracts), [2021])
    assert (run.release, run.folder, run.new) == (None, None, False)
    assert "[before_publication]" in run.held
    assert "2999-12-15T12:00+09:00 or later" in str(run)
    assert [str(one) for one in vintages(home.published_dir)] == ["2021.1", "2022.1", "2023.1"]
    assert not list(home.published_dir.glob(".building*"))
