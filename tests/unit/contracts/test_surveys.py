"""Look-ups by wave, and what a survey's file may not say."""

import pytest
from pydantic import ValidationError

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import AreaCovariate, CellRule, CollapseStep, Domain, ImputationRule, Survey
from pipelines.errors import AxstatError


@pytest.fixture(params=["industry", "public"])
def survey(request: pytest.FixtureRequest, library: ContractLibrary) -> Survey:
    return library.surveys[request.param]


def test_the_wording_changed_between_2021_and_2022(survey: Survey) -> None:
    versions = [(survey.question_version(wave), survey.tech_list_version(wave)) for wave in (2021, 2022, 2025)]
    assert versions == [("yn-2019", "none"), ("list-2022", "1"), ("list-2022", "1")]
    assert survey.comparability_segment(2021) == f"{survey.survey}-yn-2019-none"
    assert survey.comparability_segment(2025) == f"{survey.survey}-list-2022-1"
    assert survey.definition_id("ai_adoption", 2025) == "ai_adoption@list-2022"


def test_segments_begin_where_the_wording_changed(survey: Survey) -> None:
    first = [survey.first_wave_of_segment(wave) for wave in range(2021, 2026)]
    assert first == [2021, 2022, 2022, 2022, 2022]
    assert [survey.has_earlier_segment(wave) for wave in (2021, 2022, 2025)] == [False, True, True]


def test_ksic_revision_follows_the_reference_year(library: ContractLibrary) -> None:
    # KSIC 11 came into force on 2024-07-01; the wave of 2024 was still classified by the 10th
    industry = library.surveys["industry"]
    assert [industry.ksic_revision(wave) for wave in (2021, 2024, 2025)] == ["10", "10", "11"]
    assert library.surveys["public"].ksic_revision(2025) is None


def test_measures_by_wave(library: ContractLibrary) -> None:
    industry, public = library.surveys["industry"], library.surveys["public"]
    assert industry.measures(2021) == ("ai_adoption",)
    technologies = {f"tech_{code}" for code in library.classifications["ai_technologies"].codes}
    stages = {f"stage_{code}" for code in library.classifications["ai_stages"].codes}
    assert set(industry.measures(2025)) == {"ai_adoption", "genai_adoption"} | technologies | stages
    assert set(public.measures(2025)) - set(industry.measures(2025)) == {"field_adoption"}
    assert len(set(public.measures(2025))) == len(public.measures(2025))


def test_a_wave_before_the_first_is_refused(survey: Survey) -> None:
    with pytest.raises(AxstatError) as caught:
        survey.question_version(2020)
    assert caught.value.code == "unknown_wave"
    assert survey.survey in caught.value.where
    with pytest.raises(AxstatError):
        survey.ksic_revision(2020)


def test_domains_of_the_surveys(library: ContractLibrary) -> None:
    types = {name: [domain.type for domain in survey.domains] for name, survey in library.surveys.items()}
    assert types["industry"] == [
        "total",
        "ax_total",
        "ax_industry",
        "size_class",
        "region",
        "ax_industry*size_class",
        "ax_industry*region",
    ]
    assert types["public"] == ["total", "public_sector", "institution_type", "region", "public_field"]


def test_limits_of_the_weighting_steps(library: ContractLibrary) -> None:
    # The method's weighting classes: at least 20 respondents (public 10) and a factor of at most 2; strata
    # with fewer than 2 respondents are merged
    industry, public = library.surveys["industry"], library.surveys["public"]
    assert (industry.nonresponse_class.min_respondents, industry.nonresponse_class.max_factor) == (20, 2.0)
    assert (public.nonresponse_class.min_respondents, public.nonresponse_class.max_factor) == (10, 2.0)
    assert industry.stratum.min_respondents == public.stratum.min_respondents == 2
    assert [step.name for step in industry.stratum.collapse] == [
        "region_groups",
        "without region",
        "without size_class",
        "ksic_sections",
        "without ksic_group",
    ]
    assert industry.lonely_psu == public.lonely_psu == "fail"


def test_groups_of_a_collapse_step(library: ContractLibrary) -> None:
    groups = library.groups_of(CollapseStep(part="region", into="region_groups"))
    assert groups is not None
    assert groups["11"] == groups["31"] == "capital"
    assert len(groups) == 17
    assert library.groups_of(CollapseStep(part="region")) is None
    with pytest.raises(AxstatError, match="uncoded_part"):
        library.groups_of(CollapseStep(part="employment", into="region_groups"))


@pytest.mark.parametrize(
    "collapse",
    [
        ({"part": "region"},),
        ({"part": "size_class"}, {"part": "size_class", "into": "groups"}),
    ],
)
def test_a_part_that_is_not_there_cannot_be_collapsed(collapse: tuple[dict[str, str], ...]) -> None:
    with pytest.raises(ValidationError, match="is not a part"):
        CellRule.model_validate({"parts": ("size_class",), "collapse": collapse, "min_respondents": 2})


@pytest.mark.parametrize(("columns", "code"), [((), None), (("region",), "x")])
def test_a_domain_has_columns_or_a_code(columns: tuple[str, ...], code: str | None) -> None:
    with pytest.raises(ValidationError, match="either columns or the code"):
        Domain(type="x", columns=columns, code=code)


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        ([(2022, None)], "starts in 2022, expected 2021"),
        ([(2021, 2021), (2023, None)], "starts in 2023, expected 2022"),
        ([(2021, None), (2022, None)], "only the last period may be open"),
        ([(2021, 2020)], "ends before it starts"),
    ],
)
def test_periods_leave_no_gap(library: ContractLibrary, periods: list[tuple[int, int | None]], message: str) -> None:
    values = library.surveys["public"].model_dump()
    values["questions"] = [
        {"from_wave": start, "to_wave": end, "question_version": "list-2022", "tech_list_version": "1"}
        for start, end in periods
    ]
    with pytest.raises(ValidationError, match=message):
        Survey.model_validate(values)


IMPUTATION = {
    "variables": ["tech_genai"],
    "chain": ["deductive", "last_wave", "hot_deck"],
    "deductions": [{"variables": ["tech_genai"], "when": {"tech_ml": ["1"]}, "value": "1"}],
    "classes": {"parts": ["size_class"], "collapse": [{"part": "size_class"}], "min_respondents": 5},
}


def test_our_surveys_impute_nothing(survey: Survey) -> None:
    """Changing this changes published numbers: decision 0018."""
    assert survey.imputation is None


def test_an_imputation_rule_has_careful_defaults() -> None:
    rule = ImputationRule.model_validate(IMPUTATION)
    # don't know is an answer of its own in base incl_dont_know
    assert rule.statuses == ("refused", "not_asked")
    assert (rule.donors, rule.max_uses, rule.max_rate) == ("by_weight", None, 0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain": ["hot_deck", "hot_deck"]}, "chain named twice"),
        ({"variables": ["tech_genai", "tech_genai"]}, "variables named twice"),
        ({"chain": ["last_wave", "hot_deck"]}, "`deductive` in the chain and `deductions` go together"),
        ({"deductions": []}, "`deductive` in the chain and `deductions` go together"),
        ({"classes": None}, "`hot_deck` in the chain and `classes` go together"),
        ({"chain": ["deductive", "last_wave"]}, "`hot_deck` in the chain and `classes` go together"),
        ({"chain": ["deductive", "hot_deck", "last_wave"]}, "put it last"),
        ({"variables": ["tech_ml"]}, "deductions of tech_genai, which is not among the variables"),
        ({"classes": {**IMPUTATION["classes"], "max_factor": 2.0}}, "no max_factor"),
        ({"statuses": ["answered"]}, "Input should be"),
        ({"max_rate": 0.0}, "greater than 0"),
    ],
)
def test_an_imputation_rule_that_cannot_work_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ImputationRule.model_validate({**IMPUTATION, **change})


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "share"},
        {"kind": "share", "column": "institution_type"},
        {"kind": "share", "codes": ["local_government"]},
        {"kind": "last_wave", "column": "institution_type", "codes": ["local_government"]},
        {"kind": "mean_log_employment", "codes": ["local_government"]},
    ],
)
def test_a_share_of_units_says_of_which(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="belong to kind share, and it needs both"):
        AreaCovariate.model_validate(given)
