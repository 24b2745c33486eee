"""`axstat fetch` as a person meets it: a line for each delivery, exit code 1 when one was not taken."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from pipelines import cli
from pipelines.settings import load_settings
from tests.unit.intake.sources.conftest import Send, contents

CONTRACTS = Path(__file__).parents[4] / "data_contracts"


def axstat_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[dict], *arguments: str) -> Result:
    """The command with contracts that name these sources."""
    contracts = tmp_path / "data_contracts"
    shutil.copytree(CONTRACTS, contracts, dirs_exist_ok=True)
    content = {"id": "sources", "version": "1.0.0", "settle_seconds": 0, "sources": sources}
    (contracts / "sources.yaml").write_text(yaml.safe_dump(content))
    settings = replace(load_settings({"AXSTAT_HOME": str(tmp_path / "home")}), contracts_dir=contracts)
    monkeypatch.setattr(cli, "load_settings", lambda: settings)
    return CliRunner().invoke(cli.app, ["fetch", *arguments])


def entry(shop: Path, **keys: object) -> dict:
    return {
        "id": "far",
        "surveys": ["industry", "public"],
        "url": f"file://{shop}",
        "settle_seconds": 0,
        **keys,
    }


def test_without_sources_it_says_where_deliveries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = axstat_fetch(tmp_path, monkeypatch, [])
    assert done.exit_code == 0
    assert "sources.yaml names no source" in done.stdout


def test_each_delivery_has_its_line(tmp_path: Path, shop: Path, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send()
    done = axstat_fetch(tmp_path, monkeypatch, [entry(shop)])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "far/industry-2025  taken\n", "")
    assert contents(tmp_path / "home" / "deliveries" / "industry-2025") == contents(sent)


def test_what_was_not_taken_is_an_error(
    tmp_path: Path, shop: Path, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("good")
    (send("bad") / "manifest.json").write_text("{")
    send("public", survey="public")
    done = axstat_fetch(tmp_path, monkeypatch, [entry(shop)], "--survey", "industry")
    assert done.exit_code == 1
    assert done.stdout == "far/good  taken\n"
    assert "far/bad  refused: bad/manifest.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_survey_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = axstat_fetch(tmp_path, monkeypatch, [], "--survey", "industri")
    assert done.exit_code == 1
    assert "one of industry, public" in done.stderr


def test_a_secret_in_the_contract_is_not_repeated(tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = axstat_fetch(tmp_path, monkeypatch, [entry(shop, url="sftp://user:marker-secret@h/x")])
    assert done.exit_code == 1
    assert "must not hold user:password@" in done.stderr
    assert "marker-secret" not in done.output
