"""The project's contracts, and copies of them to break."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import ViolationsError

CONTRACTS = Path(__file__).parents[3] / "data_contracts"


@pytest.fixture(scope="session")
def library() -> ContractLibrary:
    return load_library(CONTRACTS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the contracts that a test may change."""
    return Path(shutil.copytree(CONTRACTS, tmp_path / "data_contracts"))


@pytest.fixture
def edit(copy: Path) -> Callable[[str, str, str], None]:
    """Replace a text, which must be there, by another at its first place in a file of the copy."""

    def replace(path: str, old: str, new: str) -> None:
        text = (copy / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r}"
        (copy / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


@pytest.fixture
def violations(copy: Path) -> Callable[[], list[tuple[str, str]]]:
    """Load the copy, which must fail; code and place of everything that is wrong."""

    def load() -> list[tuple[str, str]]:
        with pytest.raises(ViolationsError) as caught:
            load_library(copy)
        return [(found.code, found.where.removeprefix("data_contracts/")) for found in caught.value.violations]

    return load
