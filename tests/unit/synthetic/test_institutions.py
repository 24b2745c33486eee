import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.parameters import Country
from pipelines.synthetic.population import Population

# 55.0 % is published for 2022; the rest is made up.
LEVELS = {2021: 0.20, 2022: 0.55, 2023: 0.59, 2024: 0.635, 2025: 0.68}


def _rate(units: pl.DataFrame) -> float:
    """True share of users of AI among units in scope."""
    in_scope = units.filter("in_scope")
    return in_scope["ai_adoption"].sum() / in_scope.height


def test_bodies_by_type(institutions: dict[int, Population], country: Country) -> None:
    for wave, population in institutions.items():
        bodies = dict(population.units["institution_type"].value_counts().iter_rows())
        assert bodies["central"] == 48
        assert bodies["local_government"] == 243
        assert bodies["education_office"] == 17
        assert bodies["public_institution"] == country.waves[wave].public_institution
        assert population.units["unit_id"].n_unique() == population.units.height
        assert population.units["unit_id"].str.len_chars().unique().to_list() == [7]
    assert institutions[2025].units.height == 1050


def test_all_sectors_and_regions_are_populated(institutions: dict[int, Population], library: ContractLibrary) -> None:
    sectors = set(library.classifications["public_sectors"].codes)
    for population in institutions.values():
        assert set(population.units["main_sector"]) == sectors
        assert set(population.units["selection_main_sector"]) == sectors
        assert set(population.units["region"]) == set(library.classifications["regions"].codes)


@pytest.mark.parametrize(("wave", "level"), LEVELS.items())
def test_true_levels(institutions: dict[int, Population], wave: int, level: float) -> None:
    assert _rate(institutions[wave].units) == pytest.approx(level, abs=0.5 / 1000)


def test_fields_contain_the_main_sector_and_agree_with_adoption(institutions: dict[int, Population]) -> None:
    for population in institutions.values():
        units = population.units
        names = [f"field_{code}" for code in population.fields]
        assert units.filter(~pl.col("fields").str.split(";").list.contains(pl.col("main_sector"))).is_empty()
        for code in population.fields:
            served = units["fields"].str.split(";").list.contains(code)
            assert (units[f"field_{code}"].is_not_null() == served).all()
            assert served.sum() >= 20
        operates = units.select(pl.any_horizontal(pl.col(names).fill_null(value=False)).alias("any"))["any"]
        assert (operates == units["ai_adoption"]).all()


def test_bodies_last_and_keep_their_stratum(institutions: dict[int, Population]) -> None:
    for wave in range(2022, 2026):
        before, now = institutions[wave - 1].units, institutions[wave].units
        both = now.join(before, on="unit_id", suffix="_before")
        assert 0.95 < both.height / now.height < 1.0
        for part in (*institutions[wave].stratum_parts, "permanent_random_number", "institution_type"):
            assert (both[part] == both[f"{part}_before"]).all()
    first, last = institutions[2021].units, institutions[2025].units
    changed = last.filter(pl.col("main_sector") != pl.col("selection_main_sector"))
    assert 1 <= changed.height <= 60
    # Agencies, local governments and education offices are neither founded nor closed here.
    lasting = ["central", "local_government", "education_office"]
    assert set(first.filter(pl.col("institution_type").is_in(lasting))["unit_id"]) == set(
        last.filter(pl.col("institution_type").is_in(lasting))["unit_id"]
    )
