"""A few damaged files for each reader, always the same; `make fuzz` looks for more."""

from pathlib import Path

import pytest

from tests.fuzz.search import Target, damaged_file, search, targets

TRIES = 12


@pytest.fixture(scope="module")
def known() -> dict[str, Target]:
    return targets()


def test_a_seed_gives_the_same_file_again(known: dict[str, Target]) -> None:
    for target in known.values():
        assert damaged_file(target, 7) == damaged_file(target, 7)
        assert damaged_file(target, 7) != damaged_file(target, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(targets()))
def test_damaged_files_are_read_or_refused(name: str, known: dict[str, Target], tmp_path: Path) -> None:
    result = search(known[name], first_seed=1, tries=TRIES, seconds=300, folder=tmp_path)
    assert result.findings == []
    assert result.tried == TRIES == result.accepted + result.codes.total()
