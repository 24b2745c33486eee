import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.synthetic.population import Population
from pipelines.synthetic.truth import TRUTH_SCHEMA, true_rates

STAGES = ("none", "planned", "pilot", "deployed", "scaled")


def _by_hand(library: ContractLibrary) -> pl.DataFrame:
    """Three enterprises in scope and one closed: rates that can be counted."""
    technologies = library.classifications["ai_technologies"].codes
    stages = {f"tech_{code}": [0, 0, 1, 4] for code in technologies} | {"tech_genai": [3, 0, 1, 4]}
    units = pl.DataFrame(
        {
            "unit_id": ["a", "b", "c", "d"],
            "employment": [300, 20, 30, 40],
            "ax_industry": ["AX1", "AX1", None, "AX1"],
            "ksic_group": ["CA", "CA", "F", "CA"],
            "size_class": ["250+", "10-49", "10-49", "10-49"],
            "region": ["11", "11", "21", "21"],
            "in_scope": [True, True, True, False],
            "ai_adoption": [True, False, False, True],
            "stage": [3, 0, 1, 4],
            **stages,
        }
    )
    population = Population("industry", 2023, units, (), technologies, (), list_asked=True)
    return true_rates(population, library.surveys["industry"], STAGES)


def test_rates_by_hand(library: ContractLibrary) -> None:
    rates = _by_hand(library)
    assert dict(rates.schema) == TRUTH_SCHEMA

    def one(domain: str, code: str, measure: str, weighting: str) -> tuple[int, int, float]:
        found = rates.filter(domain_type=domain, domain_code=code, measure=measure, unit_weighting=weighting).select(
            "population", "adopters", "rate"
        )
        assert found.height == 1
        return found.row(0)

    assert one("total", "total", "ai_adoption", "unit") == pytest.approx((3, 1, 1 / 3))
    assert one("total", "total", "ai_adoption", "employment") == pytest.approx((350, 300, 300 / 350))
    assert one("ax_total", "ax_total", "ai_adoption", "unit") == pytest.approx((2, 1, 0.5))
    assert one("ax_industry*size_class", "AX1*250+", "genai_adoption", "unit") == (1, 1, 1.0)
    assert one("total", "total", "tech_ml", "unit") == (3, 0, 0.0)
    assert one("region", "21", "stage_planned", "unit") == (1, 1, 1.0)
    assert one("total", "total", "stage_scaled", "unit") == (3, 0, 0.0)
    assert rates.filter(pl.col("domain_code").str.contains("AX1[*]21")).is_empty()


def test_every_domain_and_measure_of_the_contract(
    enterprises: dict[int, Population], institutions: dict[int, Population], library: ContractLibrary
) -> None:
    for populations in (enterprises, institutions):
        for wave, population in populations.items():
            survey = library.surveys[population.survey]
            rates = true_rates(population, survey, STAGES)
            whole = {domain.type for domain in survey.domains if domain.rows == "unit"}
            expected = whole | ({"public_field"} if population.survey == "public" and wave > 2021 else set())
            assert set(rates["domain_type"]) == expected
            assert set(rates["measure"]) == set(survey.measures(wave))
            assert rates.select("domain_type", "domain_code", "measure", "unit_weighting").is_duplicated().sum() == 0
            assert rates["rate"].is_between(0, 1).all()
            assert (rates["population"] > 0).all()
            steps = rates.filter(pl.col("measure").str.starts_with("stage_"))
            if wave > 2021:
                sums = steps.group_by("domain_type", "domain_code", "unit_weighting").agg(pl.col("rate").sum())
                assert (sums["rate"] - 1).abs().max() < 1e-9


def test_eight_industries_and_eighteen_sectors(
    enterprises: dict[int, Population], institutions: dict[int, Population], library: ContractLibrary
) -> None:
    industry = true_rates(enterprises[2025], library.surveys["industry"], STAGES)
    public = true_rates(institutions[2025], library.surveys["public"], STAGES)
    assert industry.filter(domain_type="ax_industry")["domain_code"].n_unique() == 8
    assert public.filter(domain_type="public_sector")["domain_code"].n_unique() == 18
    assert public.filter(domain_type="public_field")["domain_code"].n_unique() == 18
    assert set(public.filter(domain_type="public_field")["measure"]) == {"field_adoption"}
