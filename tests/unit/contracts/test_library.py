"""The library as a whole: what it holds, and that it says everything that is wrong at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.contracts.library import ContractLibrary, load_library
from pipelines.errors import AxstatError

Edit = Callable[[str, str, str], None]
Violations = Callable[[], list[tuple[str, str]]]

# Names and order of the marts as the design fixes them: analysts' queries rely on both
ADOPTION_RATE = """
survey wave domain_type domain_code measure base unit_weighting
definition_id question_version tech_list_version comparability_segment
n n_missing n_dont_know population adopters adopters_se
estimate se ci_low ci_high ci_level df deff n_effective cv reliability reliability_reason
obs_status conf_status variance_method
"""
PROGRESS = """
survey wave domain_type domain_code measure unit_weighting comparability_segment
target target_year target_scope baseline baseline_wave estimate se
gap_pp gap_se_pp share_of_distance share_se observed_pp_per_year observed_se_pp
required_pp_per_year required_se_pp required_from_baseline_pp_per_year
progress_ratio progress_ratio_low progress_ratio_high pace_status
projected projected_low projected_high tau p_target status status_reason
"""


def test_marts_have_the_columns_of_the_design(library: ContractLibrary) -> None:
    rates, progress = library.marts["mart.adoption_rate"], library.marts["mart.progress"]
    assert rates.column_names == tuple(ADOPTION_RATE.split())
    assert progress.column_names == tuple(PROGRESS.split())
    assert rates.key == (
        "survey",
        "wave",
        "domain_type",
        "domain_code",
        "measure",
        "base",
        "unit_weighting",
    )
    assert progress.key == ("survey", "wave", "domain_type", "domain_code", "measure", "unit_weighting")
    # The target is never NULL, what cannot be had is
    assert progress.column("target").required
    assert not progress.column("projected").required


def test_marts_hold_no_identifier(library: ContractLibrary) -> None:
    assert {mart.name for mart in library.marts.values() for column in mart.columns if column.identifier} == set()
    for delivery in library.deliveries.values():
        assert [column.name for column in delivery.columns if column.identifier] == list(delivery.key)


def test_estimates_and_marts_describe_the_same_column_the_same_way(library: ContractLibrary) -> None:
    for name in ("adoption_rate", "progress"):
        mart, estimates = library.tables[f"mart.{name}"], library.tables[f"estimates.{name}"]
        shared = set(mart.column_names) & set(estimates.column_names)
        assert set(mart.key) <= shared
        for column in shared:
            assert mart.column(column) == estimates.column(column)


def test_deliveries(library: ContractLibrary) -> None:
    assert set(library.deliveries) == {
        "business_frame",
        "industry_sample",
        "industry_response",
        "institution_frame",
        "public_sample",
        "public_response",
    }
    assert library.survey_of_contract("institution_frame").survey == "public"
    with pytest.raises(AxstatError, match="unknown_contract"):
        library.survey_of_contract("census")


def test_the_public_response_asks_for_every_sector(library: ContractLibrary) -> None:
    names = library.deliveries["public_response"].column_names
    sectors = library.classifications["public_sectors"].codes
    assert [name for name in names if name.startswith("field_")] == [f"field_{code}" for code in sectors]
    [fields] = [rule for rule in library.deliveries["institution_frame"].quality if rule.column == "fields"]
    assert fields.kwargs["regex"] == "^P(0[1-9]|1[0-8])(;P(0[1-9]|1[0-8]))*$"
    assert len(sectors) == 18


def test_the_frame_refuses_divisions_out_of_scope(library: ContractLibrary) -> None:
    [rule] = [rule for rule in library.deliveries["business_frame"].quality if rule.id == "ksic_in_scope"]
    assert rule.kwargs["value_set"] == sorted({row.division for row in library.ksic if row.ksic_group is None})


def test_the_responses_ask_for_every_technology(library: ContractLibrary) -> None:
    technologies = [f"tech_{code}" for code in library.classifications["ai_technologies"].codes]
    for survey in library.surveys.values():
        for name in (survey.contracts.response, f"staging.{survey.contracts.response}"):
            contract = library.deliveries.get(name) or library.tables[name]
            found = [column for column in contract.column_names if column.startswith("tech_")]
            assert found == technologies
            assert set(technologies) <= set(survey.measures(2025))


def test_headers_of_the_deliveries(library: ContractLibrary) -> None:
    hangul = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
    for delivery in library.deliveries.values():
        for column in delivery.columns:
            korean, spss, *others = column.synonyms
            assert any(letter in hangul for letter in korean), column.name
            assert spss.isascii(), column.name
            assert spss.isidentifier(), column.name
            assert len([header for header in others if " / " in header]) == 1, column.name


def test_missing_codes_have_the_common_labels(library: ContractLibrary) -> None:
    column = library.deliveries["industry_response"].column("obstacle")
    assert dict(column.missing_codes) == {"98": "dont_know", "99": "refused"}
    labels = {code.value: code.label_en for code in column.codes}
    assert (labels["01"], labels["98"], labels["99"]) == ("Cost", "Don't know", "Refused")


def test_measures_come_from_the_lists(library: ContractLibrary) -> None:
    assert list(library.measures)[:3] == ["ai_adoption", "genai_adoption", "field_adoption"]
    assert len(library.measures) == 3 + 7 + 5
    assert library.measures["tech_genai"].label_ko == library.classifications["ai_technologies"].item("genai").label_ko
    orders = [measure.sort_order for measure in library.measures.values()]
    assert orders == sorted(set(orders))


def test_versions_name_every_file(library: ContractLibrary) -> None:
    files = {
        path.relative_to(library.root).as_posix()
        for pattern in ("*.yaml", "*/*.yaml", "*.json")
        for path in library.root.glob(pattern)
    }
    # A source that moved makes no number stale, nor does a new header of codebooks or a better word for a fault
    assert set(library.versions) == files - {
        "codebooks.yaml", "file_faults.yaml", "sources.yaml", "explanations.yaml", "overrides.yaml", "pre_access.yaml",
        "classifications/gate_rules.yaml",
    }  # fmt: skip
    assert all(version[0].isdigit() for version in library.versions.values())
    assert library.versions["deliveries/business_frame.yaml"] == "1.0.0"


def test_the_library_cannot_be_changed(library: ContractLibrary) -> None:
    with pytest.raises(TypeError):
        library.tables["core.more"] = library.tables["core.units"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        library.tables["core.units"].name = "x"  # type: ignore[misc]


def test_everything_wrong_is_said_at_once(edit: Edit, violations: Violations) -> None:
    edit("classifications/regions.yaml", "parent: capital", "parent: moon")
    edit("surveys/public.yaml", "columns: [main_sector]}", "columns: [colour]}")
    edit("targets.yaml", "survey: public", "survey: space")
    found = violations()
    assert ("unknown_parent", "classifications/regions.yaml: 11") in found
    assert ("unknown_column", "surveys/public.yaml: domain public_sector") in found
    assert ("no_target", "targets.yaml") in found
    assert ("unknown_survey", "targets.yaml") in found


def test_no_contracts_at_all(tmp_path: Path) -> None:
    with pytest.raises(AxstatError) as caught:
        load_library(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "complete checkout" in str(caught.value)
