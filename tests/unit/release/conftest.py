"""Settings of an empty data home, and the contracts."""

from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(Path(__file__).parents[3] / "data_contracts")
