"""One small country for all tests of this folder: made once, read by many."""

from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.synthetic.country import Truth, write_deliveries
from pipelines.synthetic.enterprises import enterprise_waves
from pipelines.synthetic.institutions import institution_waves
from pipelines.synthetic.parameters import Country, load_country
from pipelines.synthetic.population import Population
from pipelines.synthetic.streams import Streams


@pytest.fixture(scope="session")
def seed() -> int:
    return 7


@pytest.fixture(scope="session")
def scale() -> float:
    return 0.02


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(Path(__file__).parents[3] / "data_contracts")


@pytest.fixture(scope="session")
def country(library: ContractLibrary) -> Country:
    return load_country(library)


@pytest.fixture(scope="session")
def enterprises(country: Country, library: ContractLibrary, seed: int, scale: float) -> dict[int, Population]:
    waves = enterprise_waves(country, library, Streams(seed), last_wave=2025, scale=scale)
    return {population.wave: population for population in waves}


@pytest.fixture(scope="session")
def institutions(country: Country, library: ContractLibrary, seed: int) -> dict[int, Population]:
    waves = institution_waves(country, library, Streams(seed), last_wave=2025)
    return {population.wave: population for population in waves}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthetic_home")


@pytest.fixture(scope="session")
def truth(home: Path, library: ContractLibrary, seed: int, scale: float) -> Truth:
    return write_deliveries(home, library, seed=seed, scale=scale)
