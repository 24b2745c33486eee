import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.orchestration.plans import (
    area_covariates,
    divisions,
    domains,
    measures,
    segment,
    weighting_plan,
)

SURVEYS = ("industry", "public")


@pytest.mark.parametrize("name", SURVEYS)
def test_every_domain_of_the_contract_is_estimated(library: ContractLibrary, name: str) -> None:
    survey = library.surveys[name]
    found = domains(survey)
    assert [domain.type for domain in found] == [domain.type for domain in survey.domains]
    for domain, wanted in zip(found, survey.domains, strict=True):
        assert (tuple(domain.columns), domain.where_not_null) == (wanted.columns, wanted.requires)


@pytest.mark.parametrize("name", SURVEYS)
def test_a_measure_is_of_units_or_of_fields(library: ContractLibrary, name: str) -> None:
    survey = library.surveys[name]
    for wave in (2021, 2022, 2025):
        of_units, of_fields = measures(survey, wave)
        assert sorted((*of_units, *of_fields)) == sorted(survey.measures(wave))
        assert survey.headline.measure in of_units
    assert of_fields == (("field_adoption",) if name == "public" else ())


def test_a_wave_asked_for_adoption_alone_has_no_other_measures(library: ContractLibrary) -> None:
    assert measures(library.surveys["public"], 2021) == (("ai_adoption",), ())


@pytest.mark.parametrize("name", SURVEYS)
def test_cells_collapse_in_the_order_of_the_contract(library: ContractLibrary, name: str) -> None:
    survey = library.surveys[name]
    plan = weighting_plan(survey, library)
    for rule, wanted in (
        (plan.strata, survey.stratum),
        (plan.classes, survey.nonresponse_class),
        (plan.post_strata, survey.post_stratum),
    ):
        assert (rule.parts, rule.min_respondents, rule.max_factor) == (
            wanted.parts,
            wanted.min_respondents,
            wanted.max_factor,
        )
        assert [(step.part, step.step) for step in rule.order] == [(step.part, step.name) for step in wanted.collapse]


def test_regions_collapse_into_the_groups_of_the_code_list(library: ContractLibrary) -> None:
    survey = library.surveys["industry"]
    [step] = [step for step in weighting_plan(survey, library).strata.order if step.step == "region_groups"]
    regions = library.classifications["regions"].items
    assert dict(step.groups) == {item.code: item.parent for item in regions}


@pytest.mark.parametrize("name", SURVEYS)
def test_waves_with_other_questions_are_other_segments(library: ContractLibrary, name: str) -> None:
    survey = library.surveys[name]
    assert segment(survey, 2021) != segment(survey, 2022)
    assert segment(survey, 2022) == segment(survey, 2025)


def test_surveys_are_never_one_segment(library: ContractLibrary) -> None:
    assert len({segment(library.surveys[name], 2022) for name in SURVEYS}) == 2


def test_totals_are_divided_by_types_that_cover_them(library: ContractLibrary) -> None:
    """AX industries leave much of industry out: they divide the AX total. Fields overlap and divide nothing."""
    found = {name: [(whole.type, parts.type) for whole, parts in divisions(library.surveys[name])] for name in SURVEYS}
    assert found["industry"] == [("total", "size_class"), ("total", "region"), ("ax_total", "ax_industry")]
    assert found["public"] == [("total", "public_sector"), ("total", "institution_type"), ("total", "region")]


def test_covariates_of_small_domains_are_those_of_the_contract(library: ContractLibrary) -> None:
    rule = library.surveys["public"].small_area
    assert rule is not None
    assert [covariate.name for covariate in area_covariates(rule)] == [
        "mean_log_employment",
        "share institution_type=local_public_enterprise",
        "last_wave",
    ]
    assert library.surveys["industry"].small_area is None
