import numpy as np
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.enterprises import enterprise_waves
from pipelines.synthetic.parameters import Country
from pipelines.synthetic.population import Population
from pipelines.synthetic.streams import Streams

# Published: 2.7 % (2021, one yes/no question), then 28.0, 30.3, 32.9 % (2022 to 2024); 2025 made up.
LEVELS = {2021: 0.027, 2022: 0.280, 2023: 0.303, 2024: 0.329, 2025: 0.350}
LOWER = {"10-49": 10, "50-249": 50, "250+": 250}
UPPER = {"10-49": 49, "50-249": 249, "250+": 10**6}


def _rate(units: pl.DataFrame) -> float:
    """True share of users of AI among units in scope."""
    in_scope = units.filter("in_scope")
    return in_scope["ai_adoption"].sum() / in_scope.height


def test_frames_have_the_stated_size(enterprises: dict[int, Population], country: Country, scale: float) -> None:
    sizes = {wave: population.units.height for wave, population in enterprises.items()}
    assert sizes == {wave: round(country.waves[wave].enterprises * scale) for wave in country.waves}
    for population in enterprises.values():
        assert population.units["unit_id"].n_unique() == population.units.height
        assert population.units["unit_id"].is_sorted()


def test_the_real_size_is_the_published_one(country: Country, library: ContractLibrary, seed: int) -> None:
    first = next(enterprise_waves(country, library, Streams(seed), last_wave=2021, scale=1.0)).units
    assert first.height == 207_163
    shares = dict(first["size_class"].value_counts(normalize=True).iter_rows())
    # The published split, met to the rounding of whole enterprises in 72 cells.
    for code, share in country.enterprises.size_shares.items():
        assert shares[code] == pytest.approx(share, abs=0.0003)
    # A Pareto tail with index 1.2 has (250 / 1000)^1.2 = 19 % of 250+ above 1,000; the industries' caps take some
    # of it away.
    large = first.filter(pl.col("size_class") == "250+")["employment"]
    assert 0.10 < (large >= 1000).mean() < 0.20
    assert large.max() > 10_000


def test_employment_agrees_with_the_size_class(enterprises: dict[int, Population]) -> None:
    for population in enterprises.values():
        checked = population.units.with_columns(
            lower=pl.col("size_class").replace_strict(LOWER), upper=pl.col("size_class").replace_strict(UPPER)
        )
        assert checked.filter(~pl.col("employment").is_between("lower", "upper")).is_empty()


def test_classification_comes_from_the_contracts(enterprises: dict[int, Population], library: ContractLibrary) -> None:
    scope = pl.DataFrame(
        [
            {"ksic_division": row.division, "group": row.ksic_group, "ax": row.ax_industry}
            for row in library.ksic
            if row.revision == "11"
        ]
    )
    units = enterprises[2025].units.join(scope, on="ksic_division", how="left")
    assert units.filter(
        ~pl.col("ksic_group").eq_missing(pl.col("group")) | ~pl.col("ax_industry").eq_missing(pl.col("ax"))
    ).is_empty()
    assert set(units["ax_industry"].drop_nulls()) == set(library.classifications["ax_industries"].codes)
    assert set(units["ksic_group"]) == set(library.classifications["ksic_groups"].codes)
    assert set(units["region"]) == set(library.classifications["regions"].codes)


def test_the_selection_stratum_is_kept_for_life(enterprises: dict[int, Population]) -> None:
    parts = [*enterprises[2025].stratum_parts, "permanent_random_number"]
    moved = 0
    for wave in range(2022, 2026):
        both = enterprises[wave].units.join(enterprises[wave - 1].units, on="unit_id", suffix="_before")
        for part in parts:
            assert both.filter(pl.col(part) != pl.col(f"{part}_before")).is_empty()
        moved += both.filter(
            (pl.col("size_class") != pl.col("size_class_before"))
            | (pl.col("ksic_group") != pl.col("ksic_group_before"))
            | (pl.col("region") != pl.col("region_before"))
        ).height
    assert moved > 100
    drifted = enterprises[2025].units.filter(pl.col("size_class") != pl.col("selection_size_class"))
    assert 0.005 < drifted.height / enterprises[2025].units.height < 0.06


def test_entrants_come_into_the_stratum_of_their_first_wave(enterprises: dict[int, Population]) -> None:
    entrants = enterprises[2024].units.join(enterprises[2023].units, on="unit_id", how="anti")
    assert 0.02 < entrants.height / enterprises[2024].units.height < 0.08
    for today in ("ksic_group", "size_class", "region"):
        assert (entrants[today] == entrants[f"selection_{today}"]).all()


def test_closed_enterprises_leave_the_frame(enterprises: dict[int, Population]) -> None:
    closed = enterprises[2022].units.filter(pl.col("out_of_scope") == "4.2")
    assert closed.height > 20
    assert closed.join(enterprises[2023].units, on="unit_id", how="semi").is_empty()
    outside = enterprises[2022].units.filter(~pl.col("in_scope"))
    assert set(outside["out_of_scope"]) == {"4.1", "4.2", "4.3"}
    # 1.8 % too small, 1.4 % closed, 0.6 % never in the population.
    assert 0.025 < outside.height / enterprises[2022].units.height < 0.05


@pytest.mark.parametrize(("wave", "level"), LEVELS.items())
def test_true_levels(enterprises: dict[int, Population], wave: int, level: float) -> None:
    units = enterprises[wave].units
    # Each of the 24 groups meets its rate to half a unit.
    assert _rate(units) == pytest.approx(level, abs=12 / units.height)
    in_scope = units.filter("in_scope")
    by_employment = in_scope.filter("ai_adoption")["employment"].sum() / in_scope["employment"].sum()
    assert by_employment > level + 0.03


def test_adoption_depends_on_industry_size_and_region(country: Country, library: ContractLibrary, seed: int) -> None:
    waves = enterprise_waves(country, library, Streams(seed), last_wave=2024, scale=0.2)
    units = {population.wave: population.units for population in waves}[2024].filter("in_scope")
    by_size = dict(units.group_by("size_class").agg(pl.col("ai_adoption").mean()).iter_rows())
    # Published for 2024: 30.6 % (10-49) and 66.9 % (250+).
    assert by_size["10-49"] == pytest.approx(0.306, abs=0.02)
    assert by_size["10-49"] < by_size["50-249"] < by_size["250+"]
    assert by_size["250+"] == pytest.approx(0.669, abs=0.05)
    by_group = dict(units.group_by("ksic_group").agg(pl.col("ai_adoption").mean()).iter_rows())
    # Published for 2024: finance 63.1 %, construction 15.9 %.
    assert by_group["K"] == pytest.approx(0.631, abs=0.02)
    assert by_group["F"] == pytest.approx(0.159, abs=0.01)
    construction = units.filter(pl.col("ksic_group") == "CC")
    capital = construction.filter(pl.col("region") == "11")["ai_adoption"].mean()
    south = construction.filter(pl.col("region").is_in(["36", "37"]))["ai_adoption"].mean()
    assert capital > south + 0.03


def test_adoption_lasts(enterprises: dict[int, Population]) -> None:
    both = (
        enterprises[2024]
        .units.join(enterprises[2023].units, on="unit_id", suffix="_before")
        .filter("in_scope", "in_scope_before")
    )
    correlation = np.corrcoef(both["ai_adoption"], both["ai_adoption_before"])[0, 1]
    # A latent correlation of 0.88 (plus lasting industry, size and region) at a share of a third.
    assert 0.60 < correlation < 0.80


def test_technologies_and_stages_agree_with_adoption(enterprises: dict[int, Population]) -> None:
    shares = []
    for wave in range(2022, 2026):
        population = enterprises[wave]
        stages = [f"tech_{code}" for code in population.technologies]
        units = population.units.with_columns(highest=pl.max_horizontal(stages))
        assert (units["highest"] == units["stage"]).all()
        assert ((units["stage"] >= 3) == units["ai_adoption"]).all()
        assert set(units["stage"]) == {0, 1, 2, 3, 4}
        shares.append((units["tech_genai"] >= 3).mean())
    assert shares == sorted(shares)
    assert shares[-1] > 4 * shares[0]


def test_the_yes_no_wave_asks_no_technologies(enterprises: dict[int, Population]) -> None:
    assert not enterprises[2021].list_asked
    assert not [name for name in enterprises[2021].units.columns if name.startswith(("tech_", "stage"))]
