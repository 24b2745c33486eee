import json
from pathlib import Path

import polars as pl

from pipelines.release.history import past_releases


def release(published: Path, name: str, order: int | None) -> None:
    folder = published / name
    (folder / "parquet").mkdir(parents=True)
    manifest = {"release": name} | ({} if order is None else {"publication_order": order})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    pl.DataFrame({"release": [name]}).write_parquet(folder / "parquet" / "adoption_rate.parquet")


def test_releases_come_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    for name, order in (("2021.1", 1), ("2022.1", 2), ("2021.2", 3), ("2022.2", 4)):
        release(tmp_path, name, order)
    found = past_releases(tmp_path)
    assert [(str(past.vintage), past.order) for past in found] == [
        ("2021.1", 1), ("2022.1", 2), ("2021.2", 3), ("2022.2", 4)
    ]  # fmt: skip
    assert found[2].rates()["release"].to_list() == ["2021.2"]


def test_releases_without_an_order_come_first(tmp_path: Path) -> None:
    """Those of an axstat that did not note it; the first that does counts them."""
    for name, order in (("2022.1", None), ("2021.1", None), ("2021.2", 3)):
        release(tmp_path, name, order)
    assert [(str(past.vintage), past.order) for past in past_releases(tmp_path)] == [
        ("2021.1", 1), ("2022.1", 2), ("2021.2", 3)
    ]  # fmt: skip


def test_no_release_is_an_empty_history(tmp_path: Path) -> None:
    assert past_releases(tmp_path / "nowhere") == []
