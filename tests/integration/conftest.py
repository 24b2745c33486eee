"""A small synthetic country, run from its delivered files to its releases, once for all tests here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.orchestration.runs import WaveRun, run_waves
from pipelines.settings import Settings, load_settings
from pipelines.synthetic.country import write_deliveries

SEED = 20240926
SCALE = 0.05
WAVES = (2021, 2022, 2023)


@dataclass(frozen=True)
class Country:
    """Settings of a data home, what ran there, and the truth."""

    settings: Settings
    library: ContractLibrary
    runs: Sequence[WaveRun]
    truth: object


def run(settings: Settings, waves: Sequence[int] | None) -> list[WaveRun]:
    return run_waves(settings, waves, on_event=lambda text, *, finished: None)


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Country:
    home: Path = tmp_path_factory.mktemp("home")
    settings = load_settings({"AXSTAT_HOME": str(home)})
    library = load_library(settings.contracts_dir)
    truth = write_deliveries(home, library, seed=SEED, waves=WAVES, scale=SCALE)
    return Country(settings, library, run(settings, None), truth)


@pytest.fixture
def rerun() -> Callable[[Settings, Sequence[int] | None], list[WaveRun]]:
    return run
