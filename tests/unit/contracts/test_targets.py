"""The national targets as published."""

import datetime

import pytest
from pydantic import ValidationError

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.targets import Target


def test_published_targets(library: ContractLibrary) -> None:
    # MSIT, 26 September 2024: 70 % of industry and 95 % of the public sector by 2030
    found = {name: (target.value, target.year, target.date) for name, target in library.targets.items()}
    published = datetime.date(2024, 9, 26)
    assert found == {"industry": (0.70, 2030, published), "public": (0.95, 2030, published)}


def test_a_target_says_what_it_is_of(library: ContractLibrary) -> None:
    for target in library.targets.values():
        assert target.measure == "ai_adoption"
        assert target.definition == target.definition_en
        assert target.denominator == target.denominator_en
        assert "MSIT" in target.source
        assert "과학기술정보통신부" in target.source_ko


def test_a_target_is_a_share(library: ContractLibrary) -> None:
    values = library.targets["industry"].model_dump()
    with pytest.raises(ValidationError, match="less than 1"):
        Target.model_validate(values | {"value": 70})


@pytest.mark.parametrize("ceilings", [[], [0.9, 0.8], [1.0, 0.8, 0.9], [1.0, 1.0], [1.0, 0.7]])
def test_ceilings_fall_from_one_and_stay_above_the_target(library: ContractLibrary, ceilings: list[float]) -> None:
    values = library.targets["industry"].model_dump()
    assert values["ceilings"] == (1.0, 0.9, 0.8)
    with pytest.raises(ValidationError, match=r"ceilings|above 0\.7"):
        Target.model_validate(values | {"ceilings": ceilings})
