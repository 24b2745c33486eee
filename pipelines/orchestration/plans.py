"""A survey's contract in the words of the estimators.

Belongs here: translating contract models into the arguments of `stats`, which knows no contracts. Does not belong
here: a choice; every choice stands in the survey's contract.
"""

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.surveys import CellRule, SmallAreaRule, Survey
from pipelines.contracts.targets import Target
from pipelines.stats.cell_protection import CellTies
from pipelines.stats.change import Segment
from pipelines.stats.collapse import Coarsening
from pipelines.stats.disclosure import DisclosureRules, MeasureSum
from pipelines.stats.nonresponse import CollapseRule, ResponseModel
from pipelines.stats.projection import Aim
from pipelines.stats.small_area import AreaCovariate
from pipelines.stats.survey_wave import Domain
from pipelines.stats.weighting import WeightingPlan


def weighting_plan(survey: Survey, library: ContractLibrary) -> WeightingPlan:
    """Strata, classes and post-strata with their ways of collapsing."""
    model = survey.response_model
    return WeightingPlan(
        strata=collapse_rule(survey.stratum, library),
        classes=collapse_rule(survey.nonresponse_class, library),
        post_strata=collapse_rule(survey.post_stratum, library),
        response_model=None
        if model is None
        else ResponseModel(terms=model.terms, use=model.use, classes=model.classes, max_factor=model.max_factor),
    )


def collapse_rule(rule: CellRule, library: ContractLibrary) -> CollapseRule:
    """Cells and how they are made coarser, with the groups of the code lists."""
    return CollapseRule(
        parts=rule.parts,
        order=tuple(
            Coarsening(part=step.part, step=step.name, groups=library.groups_of(step)) for step in rule.collapse
        ),
        min_respondents=rule.min_respondents,
        max_factor=rule.max_factor,
    )


def domains(survey: Survey) -> list[Domain]:
    """Every domain type of the survey."""
    return [
        Domain(type=domain.type, columns=domain.columns, where_not_null=domain.requires) for domain in survey.domains
    ]


def measures(survey: Survey, wave: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Measures of units, and measures of units in a field, that the wave has."""
    by_field = {measure for domain in survey.domains if domain.rows == "field" for measure in domain.measures}
    asked = survey.measures(wave)
    return tuple(name for name in asked if name not in by_field), tuple(name for name in asked if name in by_field)


def segment(survey: Survey, wave: int) -> Segment:
    """What the wave asked, for the rule on what may be compared."""
    return Segment(
        survey=survey.survey,
        question_version=survey.question_version(wave),
        tech_list_version=survey.tech_list_version(wave),
    )


def divisions(survey: Survey) -> list[tuple[Domain, Domain]]:
    """Totals of the survey, each with the types of one column that divide it.

    A type whose column some total requires (ax_industry of ax_total) divides that total, every other one the whole.
    """
    every = {domain.type: made for domain, made in zip(survey.domains, domains(survey), strict=True)}
    totals = [domain for domain in survey.domains if not domain.columns]
    required = {total.requires for total in totals}
    found = []
    for total in totals:
        for domain in survey.domains:
            if len(domain.columns) != 1 or domain.rows != "unit":
                continue
            column = domain.columns[0]
            if column == total.requires or (total.requires is None and column not in required):
                found.append((every[total.type], every[domain.type]))
    return found


def area_covariates(rule: SmallAreaRule) -> tuple[AreaCovariate, ...]:
    """Covariates of the model of small domains."""
    return tuple(AreaCovariate(kind=given.kind, column=given.column, codes=given.codes) for given in rule.covariates)


def aim(target: Target) -> Aim:
    """The target as projections are held against it."""
    return Aim(value=target.value, year=target.year, ceilings=target.ceilings)


def disclosure_rules(survey: Survey) -> DisclosureRules | None:
    """When a cell is at risk; None where the survey is waived."""
    rule = survey.disclosure
    if rule.waiver is not None:
        return None
    return DisclosureRules(
        min_contributors=rule.min_contributors,
        p_percent=rule.p_percent,
        two_largest_percent=rule.two_largest_percent,
        protection_percent=rule.protection_percent,
    )


def cell_ties(survey: Survey, library: ContractLibrary) -> CellTies:
    """What ties a survey's cells together: divisions, the ladder, and that a technology in operation is adoption."""
    stages = library.classifications["ai_stages"].items
    in_operation = [item for item in stages if item.properties["in_operation"] == "yes"]
    ladder = MeasureSum(tuple(f"stage_{item.code}" for item in stages))
    adopted = MeasureSum(tuple(f"stage_{item.code}" for item in in_operation), "ai_adoption")
    generative = MeasureSum(("tech_genai",), "genai_adoption")
    every = {name for names in survey.measures_by_question.values() for name in names}
    return CellTies(
        columns={domain.type: domain.columns for domain in survey.domains if domain.rows == "unit"},
        sums=(ladder, adopted, generative),
        within={name: "ai_adoption" for name in sorted(every) if name.startswith("tech_") or name == "genai_adoption"},
    )
