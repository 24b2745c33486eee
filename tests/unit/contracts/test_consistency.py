"""Each way in which the files may contradict each other is found, and named with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

Edit = Callable[[str, str, str], None]
Violations = Callable[[], list[tuple[str, str]]]

CASES = [
    # a file, what is there, what stands in its place, code and place of the finding
    (
        "classifications/dispositions.yaml",
        "code: '1.2'",
        "code: '1.1'",
        "duplicate",
        "classifications/dispositions.yaml",
    ),
    (
        "classifications/regions.yaml",
        "parent_classification: region_groups",
        "parent_classification: moons",
        "unknown_classification",
        "classifications/regions.yaml",
    ),
    (
        "classifications/regions.yaml",
        "    parent: capital\n",
        "",
        "no_parent",
        "classifications/regions.yaml: 11",
    ),
    (
        "classifications/size_classes.yaml",
        "sort_order: 2",
        "sort_order: 1",
        "duplicate",
        "classifications/size_classes.yaml",
    ),
    (
        "classifications/ksic.yaml",
        "division: '02'",
        "division: '01'",
        "duplicate",
        "classifications/ksic.yaml",
    ),
    (
        "classifications/ksic.yaml",
        "ax_industry: AX7",
        "ax_industry: AX9",
        "unknown_industry",
        "classifications/ksic.yaml: 10/01",
    ),
    (
        "classifications/ksic.yaml",
        "ksic_group: A\n",
        "ksic_group: AA\n",
        "unknown_group",
        "classifications/ksic.yaml: 10/01",
    ),
    (
        "classifications/ksic.yaml",
        "ksic_group: A\n",
        "ksic_group: B\n",
        "group_of_another_section",
        "classifications/ksic.yaml: 10/01",
    ),
    (
        "classifications/ksic.yaml",
        "ksic_group: A\n",
        "ksic_group: null\n",
        "industry_out_of_scope",
        "classifications/ksic.yaml: 10/01",
    ),
    (
        "classifications/measures.yaml",
        "classification: ai_stages",
        "classification: ai_steps",
        "unknown_classification",
        "classifications/measures.yaml",
    ),
    (
        "deliveries/industry_response.yaml",
        "value: obstacles}",
        "value: hurdles}",
        "unknown_classification",
        "industry_response.obstacle",
    ),
    (
        "deliveries/industry_response.yaml",
        "synonym: BIZNO",
        "synonym: KSIC",
        "ambiguous_header",
        "deliveries/industry_response.yaml: ksic",
    ),
    (
        "deliveries/industry_response.yaml",
        "synonym: 기업 정보 / 사업자등록번호",
        "synonym: 번호",
        "two_row_header",
        "deliveries/industry_response.yaml: business_number",
    ),
    (
        "deliveries/industry_response.yaml",
        "synonym: BIZNO",
        "synonym: 번호",
        "spss_name",
        "deliveries/industry_response.yaml: business_number",
    ),
    (
        "deliveries/industry_response.yaml",
        "kwargs: {column: employees",
        "kwargs: {column: staff",
        "unknown_column",
        "industry_response: rule employees_in_range",
    ),
    (
        "deliveries/industry_response.yaml",
        "value: [yn-2019]",
        "value: [yn-1919]",
        "unknown_question_version",
        "industry_response.ai_use",
    ),
    (
        "deliveries/industry_response.yaml",
        "{property: unit, value: persons}",
        "{property: unit, value: heads}",
        "unknown_unit",
        "industry_response.employees",
    ),
    (
        "deliveries/industry_sample.yaml",
        "name: selection_region",
        "name: selected_region",
        "no_selection_column",
        "deliveries/industry_sample.yaml",
    ),
    (
        "deliveries/industry_sample.yaml",
        "physicalType: DOUBLE",
        "physicalType: FLOAT8",
        "unknown_type",
        "industry_sample.inclusion_probability",
    ),
    (
        "marts/measure.yaml",
        "{property: descriptionKo, value: 지표 코드.}",
        "{property: other, value: x}",
        "no_korean",
        "mart.measure.measure",
    ),
    (
        "marts/measure.yaml",
        "{property: unit, value: code}",
        "{property: other, value: x}",
        "no_unit",
        "mart.measure.measure",
    ),
    (
        "marts/measure.yaml",
        "{property: unit, value: code}",
        "{property: identifier, value: true}",
        "identifier_in_mart",
        "mart.measure.measure",
    ),
    ("marts/measure.yaml", "        primaryKey: true\n", "", "no_key", "mart.measure"),
    ("marts/measure.yaml", "        required: true\n", "", "nullable_key", "mart.measure.measure"),
    (
        "surveys/industry.yaml",
        "response: industry_response",
        "response: public_response",
        "survey_of_delivery",
        "deliveries/industry_response.yaml",
    ),
    (
        "surveys/industry.yaml",
        "frame: business_frame",
        "frame: company_frame",
        "unknown_contract",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "unit_id_column: business_number",
        "unit_id_column: number",
        "no_unit_id",
        "deliveries/industry_response.yaml",
    ),
    (
        "surveys/industry.yaml",
        "question_version: yn-2019",
        "question_version: yn-1919",
        "unknown_question_version",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "tech_list_version: '1'",
        "tech_list_version: '2'",
        "tech_list_version",
        "surveys/industry.yaml",
    ),
    (
        "classifications/question_versions.yaml",
        "from_wave: 2022",
        "from_wave: 2023",
        "question_period",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "yn-2019: [ai_adoption]",
        "yn-1919: [ai_adoption]",
        "no_measures",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "yn-2019: [ai_adoption]",
        "yn-2019: [adoption]",
        "unknown_measure",
        "surveys/industry.yaml: measures_by_question.yn-2019",
    ),
    (
        "surveys/industry.yaml",
        "revision: '11'",
        "revision: '12'",
        "unknown_revision",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "into: region_groups",
        "into: ksic_sections",
        "not_the_parent_list",
        "surveys/industry.yaml: stratum",
    ),
    (
        "surveys/industry.yaml",
        "post_stratum:\n",
        "response_model: {terms: [size_class, 'size_class:colour'], use: inverse}\npost_stratum:\n",
        "unknown_term",
        "surveys/industry.yaml: response_model",
    ),
    (
        "surveys/industry.yaml",
        "nonresponse_class:\n  parts: [ksic_group, size_class]\n  collapse: [{part: ksic_group, into: ksic_sections},"
        " {part: ksic_group}, {part: size_class}]",
        "nonresponse_class:\n  parts: [propensity_class]\n  collapse: [{part: propensity_class}]",
        "unknown_part",
        "surveys/industry.yaml: nonresponse_class",
    ),
    (
        "surveys/public.yaml",
        "parts: [main_sector]\n  collapse: [{part: main_sector}]",
        "parts: [colour]\n  collapse: [{part: colour}]",
        "unknown_part",
        "surveys/public.yaml: post_stratum",
    ),
    (
        "surveys/industry.yaml",
        "type: size_class,",
        "type: bulk,",
        "unknown_domain_type",
        "surveys/industry.yaml: domain bulk",
    ),
    (
        "surveys/industry.yaml",
        "requires: ax_industry",
        "requires: employment",
        "uncoded_domain",
        "surveys/industry.yaml: domain ax_total",
    ),
    (
        "surveys/public.yaml",
        "measures: [field_adoption]",
        "measures: [field_use]",
        "unknown_measure",
        "surveys/public.yaml: domain public_field",
    ),
    (
        "surveys/industry.yaml",
        "headline: {domain_type: total",
        "headline: {domain_type: all",
        "headline",
        "surveys/industry.yaml",
    ),
    (
        "surveys/industry.yaml",
        "bases: [answered, incl_dont_know]",
        "bases: [incl_dont_know]",
        "headline",
        "surveys/industry.yaml",
    ),
    (
        "deliveries/public_response.yaml",
        "id: not_selected",
        "id: hash_differs",
        "id_is_a_fault",
        "deliveries/public_response.yaml: rule hash_differs",
    ),
    ("file_faults.yaml", "code: hash_differs", "code: missing_file", "duplicate", "file_faults.yaml"),
    ("targets.yaml", "measure: ai_adoption", "measure: adoption", "unknown_measure", "targets.yaml"),
    ("targets.yaml", "survey: public", "survey: industry", "duplicate", "targets.yaml"),
    ("manifest.schema.json", '"business_frame",', "", "manifest_enum", "manifest.schema.json: contract"),
    ("manifest.schema.json", '"industry",', "", "manifest_enum", "manifest.schema.json: survey"),
]


@pytest.mark.parametrize(
    ("path", "old", "new", "code", "where"),
    CASES,
    ids=[f"{case[3]}-{case[0]}-{n}" for n, case in enumerate(CASES)],
)
def test_contradictions_are_found(
    path: str, old: str, new: str, code: str, where: str, edit: Edit, violations: Violations
) -> None:
    edit(path, old, new)
    assert (code, where) in violations()


def test_an_imputation_rule_names_columns_codes_and_parts_that_there_are(copy: Path, violations: Violations) -> None:
    path = copy / "surveys" / "public.yaml"
    path.write_text(
        path.read_text(encoding="utf-8")
        + """\
imputation:
  variables: [tech_genai, tech_none, field_P01, obstacle]
  chain: [deductive, hot_deck]
  deductions:
    - {variables: [tech_genai], when: {tech_ml: ['1', '7'], tech_other: ['1']}, value: '9'}
  classes: {parts: [main_sector, shoe_size], collapse: [{part: main_sector, into: regions}], min_respondents: 5}
""",
        encoding="utf-8",
    )
    place = "surveys/public.yaml: imputation"
    assert sorted(violations()) == sorted(
        [
            ("unknown_column", place),  # tech_none
            ("not_imputable", place),  # fields are asked of those that serve them
            ("not_imputable", place),  # obstacle
            ("unknown_code", f"{place}: tech_ml"),
            ("unknown_column", f"{place}: deductions"),
            ("unknown_code", f"{place}: tech_genai"),  # refused is no value
            ("unknown_part", place),
            ("not_the_parent_list", place),
        ]
    )


def test_a_rule_for_small_domains_names_types_measures_columns_and_codes_that_there_are(
    copy: Path, violations: Violations
) -> None:
    path = copy / "surveys" / "public.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text[: text.index("small_area:")]
        + """\
small_area:
  domain_type: public_field
  measures: [happiness]
  covariates:
    - {kind: share, column: shoe_size, codes: ['44']}
    - {kind: share, column: institution_type, codes: [local_government, bakery]}
scenario_parts: public_sector
""",
        encoding="utf-8",
    )
    place = "surveys/public.yaml: small_area"
    assert sorted(violations()) == sorted(
        [
            ("unknown_domain_type", place),  # fields overlap: they divide nothing
            ("unknown_measure", place),
            ("unknown_column", place),
            ("unknown_code", f"{place}: institution_type"),
        ]
    )
