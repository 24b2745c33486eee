"""Folders with microdata are their owner's alone, whoever made them."""

import os
from pathlib import Path

import pytest

from pipelines.errors import AxstatError
from pipelines.private_folders import keep_private
from pipelines.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


def rights(folder: Path) -> str:
    return oct(folder.stat().st_mode & 0o777)


def private(settings: Settings) -> list[Path]:
    return [settings.deliveries_dir, settings.edits_dir, settings.warehouse_file.parent, settings.dagster_home]


def test_folders_are_made_for_the_owner_alone_and_others_stay_out_of_those_that_are_there(settings: Settings) -> None:
    before = os.umask(0)  # as open as it gets
    try:
        settings.published_dir.mkdir(parents=True)
        settings.deliveries_dir.mkdir()
        keep_private(settings)
    finally:
        os.umask(before)
    assert [rights(folder) for folder in private(settings)] == ["0o700"] * 4
    assert rights(settings.published_dir) == "0o777"


def test_a_folder_of_somebody_else_that_others_may_read_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.deliveries_dir.mkdir(parents=True, mode=0o755)

    def not_mine(path: Path, mode: int) -> None:
        raise PermissionError(f"{path}: {mode}")

    monkeypatch.setattr(Path, "chmod", not_mine)
    with pytest.raises(AxstatError, match="chmod 700") as refused:
        keep_private(settings)
    assert refused.value.where == str(settings.deliveries_dir)
