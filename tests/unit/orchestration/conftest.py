"""Contracts, statements and definitions of the checkout, on an empty data home."""

from pathlib import Path

import dagster as dg
import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.orchestration.build import build_definitions
from pipelines.settings import Settings, load_settings
from pipelines.warehouse.catalogue import SqlCatalogue

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"AXSTAT_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(ROOT / "data_contracts")


@pytest.fixture(scope="session")
def catalogue() -> SqlCatalogue:
    return SqlCatalogue(ROOT / "sql")


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(load_settings({"AXSTAT_HOME": str(tmp_path_factory.mktemp("home"))}))
