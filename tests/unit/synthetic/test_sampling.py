import numpy as np
import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.country import industry_design, public_design
from pipelines.synthetic.enterprises import enterprise_waves
from pipelines.synthetic.parameters import ColumnFigures, Country
from pipelines.synthetic.population import Population
from pipelines.synthetic.sampling import SampleDesign, Sampler, allocate
from pipelines.synthetic.streams import Streams


def test_allocation_by_hand() -> None:
    population = np.array([2, 10, 100, 1000])
    importance = np.sqrt(population)
    sizes = allocate(population, importance=importance, size=50, minimum=3)
    assert sizes.sum() == 50
    # The first stratum gives all it has, the second the minimum or a little more.
    assert sizes[0] == 2
    assert sizes[1] >= 3
    # The rest in proportion to the square roots, 10 : 31.6 : 3.16, within the rounding of one unit.
    assert sizes[3] / sizes[2] == pytest.approx(np.sqrt(10), rel=0.12)


def test_allocation_never_exceeds_strata_nor_falls_below_the_minimum() -> None:
    rng = np.random.default_rng(1)
    population = rng.integers(1, 60, size=200)
    for size in (100, 700, 3000, 10**6):
        sizes = allocate(population, importance=np.sqrt(population), size=size, minimum=3)
        assert (sizes <= population).all()
        assert (sizes >= np.minimum(3, population)).all()
        assert sizes.sum() == np.clip(size, np.minimum(3, population).sum(), population.sum())


def test_every_unit_has_the_stated_chance_in_every_wave() -> None:
    """800 strata of 20 units stand for 800 samples from one stratum."""
    units, strata = 20, 800
    frame = pl.DataFrame(
        {
            "unit_id": [f"{index:05d}" for index in range(units * strata)],
            "permanent_random_number": np.random.default_rng(11).random(units * strata),
            "selection_kind": np.repeat([f"s{index:03d}" for index in range(strata)], units),
        }
    )
    sampler = Sampler(
        SampleDesign(
            size=6 * strata,
            minimum=2,
            power=0.5,
            relative_spread=ColumnFigures(
                column="selection_kind", factors=dict.fromkeys(frame["selection_kind"].unique().to_list(), 1.0)
            ),
            take_all=pl.lit(value=False),
            rotation=0.3,
        )
    )
    selected = []
    for wave in (2021, 2022, 2023):
        population = Population("made", wave, frame, ("selection_kind",), (), (), list_asked=True)
        drawn = sampler.draw(population)
        assert drawn.filter("selected")["inclusion_probability"].unique().to_list() == [0.3]
        selected.append(drawn["selected"].to_numpy().reshape(strata, units))
        assert (selected[-1].sum(axis=1) == 6).all()
    for now in selected:
        # Shares of 800 draws with probability 0.3, standard deviation 0.0162; 20 of them, bound at 4.
        assert np.abs(now.mean(axis=0) - 0.3).max() < 4 * 0.0162
    # The start moves over 0.3 x 0.3 x 20 = 1.8 of a stratum's 6 units: 70 % stay, and after two waves 40 %.
    assert (selected[0] & selected[1]).sum() / (6 * strata) == pytest.approx(0.7, abs=0.03)
    assert (selected[1] & selected[2]).sum() / (6 * strata) == pytest.approx(0.7, abs=0.03)
    assert (selected[0] & selected[2]).sum() / (6 * strata) == pytest.approx(0.4, abs=0.04)


def test_panel_since_is_the_start_of_unbroken_membership(
    enterprises: dict[int, Population], country: Country, scale: float
) -> None:
    sampler = Sampler(industry_design(country.samples.industry, scale))
    members: dict[int, set[str]] = {}
    for wave, population in enterprises.items():
        drawn = sampler.draw(population).filter("selected")
        members[wave] = set(drawn["unit_id"])
        for unit, since in drawn.select("unit_id", "panel_since").iter_rows():
            assert all(unit in members[year] for year in range(since, wave + 1))
            assert since == 2021 or unit not in members[since - 1]


def test_take_all_and_sampled_strata(enterprises: dict[int, Population], country: Country, scale: float) -> None:
    drawn = Sampler(industry_design(country.samples.industry, scale)).draw(enterprises[2021])
    large = drawn.filter(pl.col("selection_size_class") == "250+")
    assert large["take_all"].all()
    assert large["selected"].all()
    assert large["inclusion_probability"].unique().to_list() == [1.0]
    strata = (
        drawn.filter(~pl.col("take_all"))
        .group_by("stratum")
        .agg(
            pl.len(),
            pl.col("selected").sum(),
            pl.col("stratum_sample").first(),
            pl.col("stratum_size").first(),
        )
    )
    assert (strata["selected"] == strata["stratum_sample"]).all()
    assert (strata["len"] == strata["stratum_size"]).all()
    assert strata.filter((pl.col("selected") < 2) & (pl.col("len") > 1)).is_empty()


def _overlaps(populations: list[Population], design: SampleDesign) -> list[float]:
    """Share of each wave's sample of sampled strata that was in the sample before."""
    sampler, before, found = Sampler(design), None, []
    for population in populations:
        drawn = sampler.draw(population).filter("selected")
        sampled = drawn.filter(~pl.col("take_all"), pl.col("stratum_sample") < pl.col("stratum_size"))
        if before is not None:
            found.append(sampled["unit_id"].is_in(before).mean())
        before = drawn["unit_id"].implode()
    return found


def test_successive_samples_overlap_by_70_per_cent(
    enterprises: dict[int, Population], institutions: dict[int, Population], country: Country, scale: float
) -> None:
    industry = _overlaps(list(enterprises.values()), industry_design(country.samples.industry, scale))
    public = _overlaps(list(institutions.values()), public_design(country.samples.public))
    # The mean of four waves; single waves of these small samples scatter by 0.02.
    assert np.mean(industry) == pytest.approx(0.70, abs=0.03)
    assert np.mean(public) == pytest.approx(0.70, abs=0.03)


def test_the_public_sample_enumerates_small_sectors(institutions: dict[int, Population], country: Country) -> None:
    drawn = Sampler(public_design(country.samples.public)).draw(institutions[2024])
    assert drawn["selected"].sum() == country.samples.public.size == 640
    by_sector = drawn.group_by("selection_main_sector").agg(
        pl.len(), pl.col("take_all").all().alias("census"), pl.col("take_all").any().alias("any")
    )
    assert (by_sector["census"] == by_sector["any"]).all()
    assert (by_sector["census"] == (by_sector["len"] <= country.samples.public.take_all_up_to)).all()
    assert by_sector["census"].sum() >= 8
    assert drawn.filter("take_all")["selected"].all()


def test_strata_at_the_real_size(country: Country, library: ContractLibrary, seed: int) -> None:
    population = next(enterprise_waves(country, library, Streams(seed), last_wave=2021, scale=1.0))
    drawn = Sampler(industry_design(country.samples.industry, 1.0)).draw(population)
    assert drawn["selected"].sum() == 12_500
    strata = drawn.filter(~pl.col("take_all")).group_by("stratum").agg(pl.len(), pl.col("selected").sum())
    assert strata.filter(pl.col("selected") < pl.min_horizontal(pl.lit(3), "len")).is_empty()
    # Enough in each AX industry for about 70 % of them to respond and be published.
    by_ax = drawn.filter("selected").drop_nulls("ax_industry").group_by("ax_industry").len()
    assert by_ax.height == 8
    assert by_ax["len"].min() > 100
