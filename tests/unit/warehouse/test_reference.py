"""Reference tables say what the contracts say."""

import polars as pl
import pytest

from pipelines.contracts.compiler import polars_schema
from pipelines.contracts.library import ContractLibrary
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reference import load_reference, reference_frames


def test_frames_have_the_columns_of_their_tables_and_unique_keys(library: ContractLibrary) -> None:
    for name, frame in reference_frames(library, last_wave=2025).items():
        contract = library.tables[name]
        assert dict(frame.schema) == dict(polars_schema(contract)), name
        assert frame.height > 0
        assert not frame.select(contract.key).is_duplicated().any(), name


@pytest.mark.parametrize(
    ("survey", "wave", "expected"),
    [
        ("industry", 2021, ("yn-2019", "none", "industry-yn-2019-none", 2021, False, "10")),
        ("industry", 2022, ("list-2022", "1", "industry-list-2022-1", 2022, True, "10")),
        ("industry", 2025, ("list-2022", "1", "industry-list-2022-1", 2022, True, "11")),
        ("public", 2024, ("list-2022", "1", "public-list-2022-1", 2022, True, None)),
    ],
)
def test_a_wave_has_its_question_segment_and_revision(
    library: ContractLibrary, survey: str, wave: int, expected: tuple[object, ...]
) -> None:
    versions = reference_frames(library, last_wave=2025)["core.wave_version"]
    [row] = versions.filter(survey=survey, wave=wave).select(
        "question_version",
        "tech_list_version",
        "comparability_segment",
        "first_wave_of_segment",
        "segment_has_predecessor",
        "ksic_revision",
    ).rows()  # fmt: skip
    assert row == expected


def test_waves_run_to_the_last_one_asked_for(library: ContractLibrary) -> None:
    versions = reference_frames(library, last_wave=2023)["core.wave_version"]
    assert versions.filter(survey="industry")["wave"].to_list() == [2021, 2022, 2023]


def test_domains_name_the_code_lists_of_their_columns(library: ContractLibrary) -> None:
    domains = reference_frames(library, last_wave=2025)["core.survey_domain"]
    found = {row[1]: row[2:] for row in domains.filter(survey="industry").iter_rows()}
    assert found["total"] == ("total", None, None)
    assert found["ax_total"] == ("ax_total", None, None)
    assert found["ax_industry*size_class"] == (None, "ax_industries", "size_classes")
    fields = domains.filter(survey="public", domain_type="public_field")
    assert fields["first_list"].to_list() == ["public_sectors"]


def test_both_ksic_revisions_lead_to_the_same_industries(library: ContractLibrary) -> None:
    scope = reference_frames(library, last_wave=2025)["core.ksic_scope"]
    counts = scope.filter(pl.col("ax_industry").is_not_null()).group_by("revision").len().sort("revision")
    # C 10-34 without 21: 24; K: 3; 86 and 21: 2; G: 3; H: 4; 58-60 and 90: 4; A: 3; M: 4
    assert counts.rows() == [("10", 47), ("11", 47)]


def test_loading_twice_changes_nothing(warehouse: Warehouse, library: ContractLibrary) -> None:
    with warehouse.session() as session:
        load_reference(session, library, last_wave=2025)
        before = session.table("core.classification_item")
        load_reference(session, library, last_wave=2025)
        assert session.table("core.classification_item").equals(before)
