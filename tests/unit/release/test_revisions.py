"""The triangle from releases that stand under `published/`, written here."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.contracts.library import ContractLibrary
from pipelines.contracts.revisions import DeclaredRevision
from pipelines.release.history import past_releases
from pipelines.release.revision_causes import survey_settings
from pipelines.release.revisions import revision_table
from pipelines.release.vintages import Vintage


def rates(*estimates: tuple[str, int, float], reliability: str = "publish") -> pl.DataFrame:
    """The headline by units and by employment (a tenth higher), and a domain that nobody follows."""
    return pl.DataFrame(
        [
            (survey, wave, domain, domain, "ai_adoption", base, weighting, estimate + extra, 0.01, reliability)
            for survey, wave, estimate in estimates
            for domain in ("total", "region")
            for base in ("answered", "incl_dont_know")
            for weighting, extra in (("unit", 0.0), ("employment", 0.1))
        ],
        schema=["survey", "wave", "domain_type", "domain_code", "measure", "base", "unit_weighting", "estimate", "se",
                "reliability"],
        orient="row",
    )  # fmt: skip


def basis(library: ContractLibrary, files: Mapping[int, str]) -> dict[str, Any]:
    return {
        "made_with": {"contracts": dict(library.versions), "settings": survey_settings(library)},
        "edit_files": [],
        "deliveries": [
            {
                "survey": "industry", "wave": wave, "contract": "industry_response", "status": "current",
                "rows_in": 10, "file_sha256": sha256, "question_version": "q", "tech_list_version": "1",
            }
            for wave, sha256 in files.items()
        ],
    }  # fmt: skip


def stand(published: Path, name: str, order: int, frame: pl.DataFrame, manifest: Mapping[str, Any]) -> None:
    (published / name / "parquet").mkdir(parents=True)
    frame.write_parquet(published / name / "parquet" / "adoption_rate.parquet")
    (published / name / "manifest.json").write_text(json.dumps({**manifest, "publication_order": order}))


@pytest.fixture
def published(tmp_path: Path, library: ContractLibrary) -> Path:
    """2022.1, then 2023.1, which prints 2022 again."""
    stand(tmp_path, "2022.1", 1, rates(("industry", 2022, 0.3)), basis(library, {2022: "a"}))
    later = rates(("industry", 2022, 0.3), ("industry", 2023, 0.4))
    stand(tmp_path, "2023.1", 2, later, basis(library, {2022: "a", 2023: "b"}))
    return tmp_path


def corrected(published: Path, library: ContractLibrary) -> pl.DataFrame:
    """2022.2: 2022 goes to 32 %, from another file of answers."""
    table = revision_table(
        past_releases(published),
        rates(("industry", 2022, 0.32)),
        vintage=Vintage(2022, 2),
        basis=basis(library, {2022: "c"}),
        library=library,
    )
    assert table.columns == list(library.marts["mart.revision"].column_names)
    return table


def test_a_figure_is_followed_through_all_releases_that_print_it(published: Path, library: ContractLibrary) -> None:
    table = corrected(published, library)
    # by both weightings, of the total and the headline's base alone; nothing of 2023, which 2022.2 does not cover
    assert table.height == 2 * 3
    assert set(table["wave"]) == {2022}
    headline = table.filter("is_headline")
    assert set(headline["unit_weighting"]) == {"unit"}
    assert headline.select("vintage", "publication_order", "previous_vintage", "cause", "kind").rows() == [
        ("2022.1", 1, None, "first", "first"),
        ("2023.1", 2, "2022.1", "none", "unchanged"),
        ("2022.2", 3, "2023.1", "data", "undeclared"),
    ]
    assert headline["change_pp"].to_list() == [None, 0.0, pytest.approx(2.0)]


def test_a_declaration_takes_the_place_of_what_the_manifests_tell(published: Path, library: ContractLibrary) -> None:
    entry = DeclaredRevision(
        vintage="2022.2", kind="correction", cause="code", reason_ko="사유", reason_en="A bug", who="statistician"
    )
    declared = library.revisions.model_copy(update={"revisions": (entry,)})
    table = corrected(published, replace(library, revisions=declared))
    changed = table.filter(vintage="2022.2").select("cause", "kind", "reason_ko", "reason_en", "declared_by")
    assert set(changed.rows()) == {("code", "correction", "사유", "A bug", "statistician")}
    # What did not change is not declared
    assert set(table.filter(pl.col("vintage") != "2022.2")["declared_by"]) == {None}


def test_a_figure_that_may_not_be_printed_has_no_number(published: Path, library: ContractLibrary) -> None:
    table = revision_table(
        past_releases(published),
        rates(("industry", 2022, 0.3), reliability="suppress"),
        vintage=Vintage(2022, 2),
        basis=basis(library, {2022: "c"}),
        library=library,
    )
    last = table.filter(vintage="2022.2")
    assert set(last.select("estimate", "se", "change_pp", "kind").rows()) == {(None, None, None, "undeclared")}


def test_the_first_release_of_all_prints_for_the_first_time(tmp_path: Path, library: ContractLibrary) -> None:
    table = revision_table(
        past_releases(tmp_path),
        rates(("industry", 2022, 0.3)),
        vintage=Vintage(2022, 1),
        basis=basis(library, {2022: "a"}),
        library=library,
    )
    assert set(table.select("publication_order", "previous_vintage", "cause").rows()) == {(1, None, "first")}
